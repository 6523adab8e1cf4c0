//! Where a node never connects to, whatever a peer's URL says (SPEC section 10).
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use stories::{Answer, Node, RogueWorker, ask, client::http, engine::MODEL, rogue, rogue_worker::new_key};

/// What a gateway says of a friend at this URL, when a request could be served by nobody else.
async fn asked_at(url: &str, env: &[(&str, &str)]) -> (u16, String) {
    let setup = Node::gateway().friend_at(new_key().node_id(), url);
    let gateway = env.iter().fold(setup, |setup, (name, value)| setup.env(name, value)).start().await;
    let answer = gateway.answer(&ask(MODEL, "hi")).await;
    let peers = gateway.home().run(&["peers", "list", "--json"]).await.ok().json();
    assert_eq!(peers[0]["state"], "unknown", "{url}: {peers}");
    (answer.status, answer.body)
}

#[tokio::test]
async fn addresses_that_mean_this_network_itself_are_never_dialled() {
    for (url, kind) in [
        ("http://169.254.169.254", "link-local"),
        ("http://169.254.169.254:80/v1", "link-local"),
        ("http://[fe80::1]:17474", "link-local"),
        ("http://[::ffff:169.254.169.254]", "link-local"),
        ("http://[64:ff9b::a9fe:a9fe]", "link-local"),
        ("http://2852039166/", "link-local"),
        ("http://0.0.0.0:17474", "unspecified"),
        ("http://[::]:17474", "unspecified"),
        ("http://224.0.0.1", "multicast"),
        ("http://[ff02::1]", "multicast"),
        ("http://255.255.255.255", "reserved"),
    ] {
        let (status, body) = asked_at(url, &[]).await;
        assert_eq!(status, 503, "{url}: {body}");
        assert!(body.contains(kind) && body.contains("never dialled"), "{url}: {body}");
    }
}

#[tokio::test]
async fn a_server_behind_an_unspecified_address_sees_no_connection() {
    // 0.0.0.0 leads to this machine's own servers, if it is dialled.
    let worker = RogueWorker::start(|_| vec![rogue::answer(200, "", &rogue::completion("reached"))]).await;
    let port = worker.rogue.address.port();
    for host in ["0.0.0.0", "[::]", "[::ffff:0.0.0.0]"] {
        let setup = Node::gateway().friend_at(worker.id(), &format!("http://{host}:{port}"));
        let answer = setup.start().await.answer(&ask(MODEL, "hi")).await;
        assert_eq!(answer.status, 503, "{host}: {}", answer.body);
    }
    assert_eq!(worker.rogue.connections(), 0);
}

#[tokio::test]
async fn private_addresses_are_blocked_where_the_owner_says_so() {
    for url in [
        "http://10.0.0.1",
        "http://192.168.255.1:17474",
        "http://172.16.0.1",
        "http://100.64.0.1",
        "http://[fd00::1]",
    ] {
        let (status, body) = asked_at(url, &[("LOBSTAH_BLOCK_PRIVATE_ADDRS", "1")]).await;
        assert_eq!(status, 503, "{url}: {body}");
        assert!(body.contains("private"), "{url}: {body}");
    }
}

#[tokio::test]
async fn a_friend_on_this_machine_is_dialled_even_so() {
    let engine = stories::engine();
    let worker = Node::worker(&engine).start().await;
    let gateway = Node::gateway().friend(&worker).env("LOBSTAH_BLOCK_PRIVATE_ADDRS", "1").start().await;
    assert_eq!(gateway.answer(&ask(MODEL, "hi")).await.status, 200);
    let named = worker.worker_url("").replace("127.0.0.1", "localhost");
    let gateway = Node::gateway().friend_at(worker.id, &named).start().await;
    assert_eq!(gateway.answer(&ask(MODEL, "hi")).await.status, 200, "a name is resolved, then checked");
}

#[tokio::test]
async fn another_node_at_a_friends_address_is_not_taken_for_the_friend() {
    let engine = stories::engine();
    let worker = Node::worker(&engine).start().await;
    let gateway = Node::gateway().friend_at(new_key().node_id(), &worker.worker_url("")).start().await;
    let peers = gateway.home().run(&["peers", "list", "--json"]).await.ok().json();
    assert_eq!(peers[0]["models"].as_array().unwrap().len(), 0);
    // Only the worker's own word of what it is; it is never asked for work as somebody else.
    let shown = Answer::of(http().get(worker.worker_url("/pubkey"))).await.json();
    assert_eq!(shown["pubkey"], worker.id.to_string());
}
