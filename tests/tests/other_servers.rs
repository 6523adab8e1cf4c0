//! Other OpenAI-compatible servers: asked where a route says so, with their own key, and a route is a
//! promise about what it may reach.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use stories::{
    Node, Rogue, RogueWorker, Setup, World, ask, ask_stream,
    client::{is_done, text_of},
    engine::{self, Behaviour, MODEL, Trouble},
    engine_with, rogue,
};

const KEY: &str = "sk-secret-that-nobody-may-see";

/// A server that answers everything, and lists two models.
async fn cloud() -> Rogue {
    Rogue::start(|request| match request.path.as_str() {
        "/v1/models" => vec![rogue::answer(200, "", r#"{"data":[{"id":"gpt-big"},{"id":"other"}]}"#)],
        _ => vec![rogue::answer(200, "", &rogue::completion("from the cloud"))],
    })
    .await
}

/// The server and the variable that holds its key.
fn with_cloud(setup: Setup, cloud: &Rogue) -> Setup {
    let url = cloud.url();
    setup.env("CLOUD_KEY", KEY).table(&format!(
        "[[upstreams]]\nname = \"cloud\"\nurl = \"{url}/v1\"\napi_key_env = \"CLOUD_KEY\"\nmodels = [\"gpt-*\"]"
    ))
}

#[tokio::test]
async fn a_server_is_asked_by_the_tools_name_with_its_own_key_and_nobody_elses() {
    let cloud = cloud().await;
    let setup = with_cloud(Node::gateway(), &cloud);
    let gateway = setup.route("use = \"llama3.1:8b\"\nto = [\"local\", \"cloud\"]").start().await;
    let chat = gateway.chat(&ask("gpt-big", "hello")).header("authorization", "Bearer the-tools-own");
    let answer = stories::Answer::of(chat).await;
    assert_eq!(answer.text(), "from the cloud");
    assert_eq!(answer.header("x-lobstah-worker"), Some("cloud"));
    let asked = &cloud.asked()[0];
    assert_eq!(asked.path, "/v1/chat/completions");
    assert_eq!(asked.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(asked.header("x-lobstah-requester"), None, "the cloud learns no key of ours");
    assert_eq!(asked.json(), ask("gpt-big", "hello"));
    gateway.answer(&ask("other", "hello")).await.error(503, "no_upstream");
}

#[tokio::test]
async fn the_key_is_in_no_log_no_report_and_at_no_peer() {
    let cloud = Rogue::start(|_| vec![rogue::error(401, "", "wrong key")]).await;
    let peer = RogueWorker::start(|_| vec![rogue::error(500, "", "broken")]).await;
    let setup = with_cloud(Node::gateway().rogue(&peer), &cloud);
    let gateway = setup.route("to = [\"friends\", \"cloud\"]").start().await;
    let answer = gateway.answer(&ask("gpt-big", "hello")).await;
    let attempts = answer.error(502, "all_upstreams_failed")["attempts"].to_string();
    assert!(attempts.contains("401"), "{attempts}");
    let shown = gateway.home().run(&["config", "show"]).await.ok().stdout;
    let explained = gateway.home().run(&["route", "explain", "gpt-big", "--json"]).await.ok().stdout;
    let metrics = stories::Answer::of(gateway.get("/metrics")).await.body;
    let said = [gateway.process.stdout(), gateway.process.stderr(), answer.body, shown, explained, metrics];
    assert!(said.iter().all(|text| !text.contains(KEY)), "{said:?}");
    let told: Vec<_> = peer.rogue.requests().into_iter().flat_map(|request| request.headers).collect();
    assert!(told.iter().all(|(name, value)| name != "authorization" && !value.contains(KEY)), "{told:?}");
}

#[tokio::test]
async fn a_cloud_is_the_last_resort() {
    let cloud = cloud().await;
    let world = World::with(
        |worker| worker,
        |gateway| {
            with_cloud(gateway, &cloud).table(&format!(
                "[[routes]]\nmodel = \"gpt-big\"\nuse = \"{MODEL}\"\nto = [\"friends\", \"cloud\"]"
            ))
        },
    )
    .await;
    let mut stream = world.gateway.stream(&ask_stream("gpt-big", "hello")).await;
    assert_eq!(stream.header("x-lobstah-worker"), Some(world.worker.id.to_string().as_str()));
    let events = stream.rest().await;
    assert!(is_done(&events) && text_of(&events).starts_with("Practice"));
    assert!(cloud.asked().is_empty());
    world.engine.handle.set(Behaviour::of(Trouble::Fail { status: 503, body: None }));
    let answer = world.gateway.answer(&ask("gpt-big", "hello")).await;
    assert_eq!(answer.text(), "from the cloud");
    assert_eq!(answer.header("x-lobstah-attempts"), Some("2"));
}

#[tokio::test]
async fn a_route_to_local_alone_reaches_no_other_socket() {
    let cloud = cloud().await;
    let friend =
        RogueWorker::start(|_| vec![rogue::answer(200, "", &rogue::completion("from a friend"))]).await;
    let engine = engine_with(&[MODEL]);
    let setup = with_cloud(Node::gateway().ollama(&engine).rogue(&friend), &cloud);
    let gateway = setup.route("to = [\"local\"]").start().await;
    let secret = "the-password-is-swordfish";
    let (cloud_before, friend_before) = (cloud.requests().len(), friend.rogue.asked().len());
    assert_eq!(gateway.answer(&ask(MODEL, secret)).await.status, 200);
    for trouble in [
        Trouble::Fail { status: 500, body: None },
        Trouble::Fail { status: 404, body: None },
        Trouble::RefuseBody,
        Trouble::CutAfter(0),
    ] {
        engine.handle.set(Behaviour::of(trouble).times(1));
        let answer = gateway.answer(&ask(MODEL, secret)).await;
        assert!(answer.status >= 400, "{}", answer.body);
    }
    gateway.answer(&ask("gpt-big", secret)).await.error(404, "model_not_found");
    assert_eq!(friend.rogue.asked().len(), friend_before);
    assert_eq!(cloud.requests().len(), cloud_before, "not even the list of models is asked for");
    let all = [cloud.requests(), friend.rogue.requests()].concat();
    assert!(all.iter().all(|request| !String::from_utf8_lossy(&request.body).contains(secret)));
    assert!(engine::bodies(&engine)[0].contains(secret));
}

#[tokio::test]
async fn the_list_of_models_is_what_some_route_reaches() {
    let cloud = cloud().await;
    let engine = engine_with(&[MODEL, "hidden:1b"]);
    let gateway = with_cloud(Node::gateway().ollama(&engine), &cloud)
        .table("[[routes]]\nmodel = \"hidden*\"\nto = [\"friends\"]")
        .table(&format!("[[routes]]\nmodel = \"nickname\"\nuse = \"{MODEL}\"\nto = [\"local\"]"))
        .route("to = [\"local\", \"cloud\"]")
        .start()
        .await;
    let models = gateway.get_json("/v1/models").await;
    let ids: Vec<&str> =
        models["data"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [MODEL, "gpt-big", "nickname"]);
    assert_eq!(gateway.get_json("/v1/models/gpt-big").await["owned_by"], "cloud");
}

#[tokio::test]
async fn explain_says_what_a_request_then_does() {
    let bad = engine_with(&[MODEL]);
    let world = World::with(|worker| worker, |gateway| gateway.ollama(&bad)).await;
    bad.handle.set(Behaviour::of(Trouble::Fail { status: 500, body: None }));
    let explained = world.gateway.home().run(&["route", "explain", MODEL, "--json"]).await.ok().json();
    let order: Vec<&str> = explained["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["place"].is_u64())
        .map(|one| one["peer"].as_str().unwrap())
        .collect();
    let worker = world.worker.id.to_string();
    assert_eq!(order, ["local", worker.as_str()]);
    let answer = world.gateway.answer(&ask(MODEL, "hello")).await;
    assert_eq!(answer.header("x-lobstah-worker"), Some(worker.as_str()));
    assert_eq!(answer.header("x-lobstah-attempts"), Some("2"));
    let table = world.gateway.home().run(&["route", "explain", MODEL]).await.ok().stdout;
    assert!(table.contains("no route names it, so goes to local, friends"), "{table}");
    let nobody = world.gateway.home().run(&["route", "explain", "unheard:1b"]).await;
    assert_eq!(nobody.code(), 1);
    assert!(nobody.stdout.contains("does not have the model"), "{}", nobody.stdout);
}
