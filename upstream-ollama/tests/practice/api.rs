//! Our client of Ollama's own API.

use super::support::{answer, question, within, world, world_of};
use std::net::{Ipv4Addr, TcpListener};
use upstream_ollama::{EngineError, Ollama, Practice, practice};
use url::Url;

#[tokio::test]
async fn models_are_listed_with_what_is_known_of_them() {
    let world = world();
    let models = within(world.ollama.models()).await.unwrap();
    let names: Vec<_> = models.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(names, practice::MODELS);
    assert_eq!(models[0].family.as_deref(), Some("practice"));
    assert_eq!(models[0].digest.as_ref().unwrap().len(), 64);
    assert_ne!(models[0].digest, models[1].digest);
    assert_eq!(within(world.ollama.version()).await.unwrap(), practice::VERSION);
}

#[tokio::test]
async fn a_model_is_loaded_once_it_was_asked() {
    let world = world();
    assert_eq!(within(world.ollama.loaded()).await.unwrap(), []);
    answer(world.chat(question(serde_json::json!({}))).await).await;
    let loaded = within(world.ollama.loaded()).await.unwrap();
    assert_eq!(loaded[0].name.as_str(), "practice:8b");
    assert_eq!(loaded[0].context_length, Some(8192));
}

#[tokio::test]
async fn a_models_details_are_read() {
    let world = world();
    let show = async |name: &str| within(world.ollama.show(&name.parse().unwrap())).await;
    let large = show("practice:8b").await.unwrap();
    assert_eq!((large.context_length, large.num_ctx), (Some(32_768), Some(8192)));
    assert_eq!(large.capabilities, ["completion", "tools"]);
    assert!(large.knows_developer_role && !show("practice:1b").await.unwrap().knows_developer_role);
    assert_eq!(show("practice-embed").await.unwrap().capabilities, ["embedding"]);
    assert!(
        matches!(show("llama3").await, Err(EngineError::NoSuchModel { model }) if model.as_str() == "llama3")
    );
}

#[tokio::test]
async fn the_openai_list_has_the_same_models() {
    let world = world();
    let list = answer(within(world.get("/v1/models").send()).await.unwrap()).await;
    assert_eq!(list["data"][1]["id"], "practice:8b");
    let one = answer(within(world.get("/v1/models/practice:8b").send()).await.unwrap()).await;
    assert_eq!(one["id"], "practice:8b");
    assert_eq!(within(world.get("/v1/models/team/x:1").send()).await.unwrap().status(), 404);
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_unreachable() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let error = within(Ollama::new(url).unwrap().models()).await.unwrap_err();
    assert!(
        matches!(error, EngineError::Unreachable { .. }) && error.to_string().contains("ollama serve"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_not_ollama_is_said_to_be_none() {
    // A model of this name makes `/v1/models/…` answer at a path where Ollama would tell its version.
    let world = world_of(Practice::builder().models(["x/api/version".parse().unwrap()]));
    let elsewhere = |path| Ollama::new(world.engine.url.join(path).unwrap()).unwrap();
    let error = within(elsewhere("/v1/models/x").version()).await.unwrap_err();
    assert!(matches!(error, EngineError::NotOllama { .. }), "{error}");
    let error = within(elsewhere("/nowhere").version()).await.unwrap_err();
    assert!(matches!(error, EngineError::Refused { status: 404, .. }), "{error}");
}

#[tokio::test]
async fn an_endless_answer_is_given_up() {
    let many = (0..60_000).map(|number| format!("practice:{number}").parse().unwrap());
    let world = world_of(Practice::builder().models(many));
    let error = within(world.ollama.models()).await.unwrap_err();
    assert!(matches!(error, EngineError::TooLong { .. }), "{error}");
}
