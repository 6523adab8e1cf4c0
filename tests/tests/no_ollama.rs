//! Other servers that speak OpenAI's API stand in Ollama's place, and know nothing of Ollama's own: what they get
//! is what the tool sent, however long it is.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use stories::{
    Act, Answer, Node, Request, Rogue, Value, ask,
    engine::MODEL,
    json,
    rogue::{answer, completion},
};

const LONG: usize = 5 * 1024 * 1024;

fn long() -> Value {
    ask(MODEL, &"a word ".repeat(LONG / 7))
}

fn models() -> Act {
    answer(200, "", &json!({"models": [{"name": MODEL}]}).to_string())
}

fn not_found() -> Act {
    answer(404, "", "404 page not found")
}

/// Knows one endpoint.
fn of_one_endpoint(request: &Request) -> Vec<Act> {
    vec![match request.path.as_str() {
        "/api/tags" => models(),
        "/v1/chat/completions" => answer(200, "", &completion("read it all")),
        _ => not_found(),
    }]
}

/// Does not look where it is asked.
fn of_any_path(request: &Request) -> Vec<Act> {
    vec![match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/api/tags") => models(),
        ("GET", _) => not_found(),
        _ => answer(200, "", &completion("read it all")),
    }]
}

/// What the server was asked on the plain way.
async fn gets_all(server: &Rogue, node: &Node) -> Vec<Request> {
    let long = long().to_string();
    for _ in 0..2 {
        let answered = Answer::of(node.post("/v1/chat/completions", long.clone())).await;
        assert_eq!(answered.status, 200, "{}", answered.text());
        assert!(answered.text().contains("read it all"));
    }
    let asked =
        |path: &str| server.requests().into_iter().filter(|asked| asked.path == path).collect::<Vec<_>>();
    let plain = asked("/v1/chat/completions");
    assert_eq!(plain.len(), 2);
    assert_eq!(asked("/api/chat").len(), 1, "it is asked once whether it knows better");
    plain
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_ollamas_own_api_gets_long_prompts_as_they_came() {
    for script in [of_one_endpoint as fn(&Request) -> Vec<Act>, of_any_path] {
        let server = Rogue::start(script).await;
        let node = Node::gateway().set("ollama.url", &format!("\"{}\"", server.url())).start().await;
        let asked = gets_all(&server, &node).await;
        assert!(asked.iter().all(|asked| asked.body == long().to_string().as_bytes()), "byte for byte");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_lends_such_a_server_with_all_that_it_can_read() {
    let server = Rogue::start(of_one_endpoint).await;
    let engine_url = format!("\"{}\"", server.url());
    let worker = Node::worker(&stories::engine()).set("ollama.url", &engine_url).start().await;
    let gateway = Node::gateway().friend(&worker).start().await;
    let asked = gets_all(&server, &gateway).await;
    assert!(asked.iter().all(|asked| asked.json()["messages"] == long()["messages"]));
    let capacity: Value =
        worker.http().get(worker.worker_url("/capacity")).send().await.unwrap().json().await.unwrap();
    assert!(capacity.get("contexts").is_none(), "{capacity}");
}
