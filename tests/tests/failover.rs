//! One bad upstream never costs the request: as long as nothing went to the tool, the next is asked,
//! with the whole body.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::time::Duration;
use stories::{
    Act, Answer, Engine, Node, Rogue, RogueWorker, Setup, Stream, World, ask, ask_stream,
    chat::large,
    client::{h2c, is_done, text_of},
    engine::{self, Behaviour, MODEL, Trouble},
    engine_with, eventually, rogue, rogue_worker,
};

/// A gateway with a good worker that is asked last, since it is the only one with work in it.
struct Anchored {
    engine: Engine,
    _worker: Node,
    gateway: Node,
    _anchor: Stream,
}

impl Anchored {
    async fn with(change: impl FnOnce(Setup) -> Setup) -> Self {
        let engine = engine_with(&[MODEL, "anchor:1b"]);
        let worker = Node::worker(&engine).start().await;
        let gateway = change(Node::gateway()).friend(&worker).start().await;
        engine.handle.set(Behaviour::of(Trouble::HangAfter(1)).times(1));
        let mut anchor = gateway.stream(&ask_stream("anchor:1b", "hold")).await;
        anchor.next_data().await.unwrap();
        Self { engine, _worker: worker, gateway, _anchor: anchor }
    }

    /// The bodies that the good engine got, but for the anchor's.
    fn bodies(&self) -> Vec<String> {
        engine::bodies(&self.engine).split_off(1)
    }
}

/// One who refuses the body unread, one who went away and one who never answers, then a good one.
async fn three_bad_ones(keys: &str) -> (Anchored, Engine, RogueWorker) {
    let refusing = stories::engine();
    refusing.handle.set(Behaviour::of(Trouble::RefuseBody));
    let gone = RogueWorker::start(|_| vec![]).await;
    let hanging = RogueWorker::start(|_| vec![Act::Hang]).await;
    let setup = |setup: Setup| setup.ollama(&refusing).rogue(&gone).rogue(&hanging).route(keys);
    let anchored = Anchored::with(setup).await;
    drop(gone);
    (anchored, refusing, hanging)
}

const FIVE_MEGABYTES: usize = 5_000_000;

#[tokio::test]
async fn five_megabytes_go_past_a_refused_a_503_and_a_hanging_upstream() {
    let (world, refusing, hanging) = three_bad_ones("first_byte_timeout = \"3s\"").await;
    let body = large(MODEL, FIVE_MEGABYTES, true).to_string();
    let mut stream = Stream::of(world.gateway.post("/v1/chat/completions", body.clone())).await;
    assert_eq!(stream.header("x-lobstah-attempts"), Some("4"));
    let events = stream.rest().await;
    assert!(is_done(&events) && text_of(&events).starts_with("Practice"), "{events:?}");
    assert!(hanging.rogue.asked()[0].body == body.as_bytes(), "the body changed on its way");
    assert_eq!(refusing.handle.counts().received, 1);
    let asked = world.bodies()[0].replacen(",\"stream_options\":{\"include_usage\":true}", "", 1);
    assert!(asked == body, "the body changed on its way");
}

#[tokio::test]
async fn a_chunked_upload_goes_round_as_well() {
    let (world, _refusing, hanging) = three_bad_ones("answer_timeout = \"4s\"").await;
    let body = large(MODEL, FIVE_MEGABYTES, false).to_string();
    let pieces: Vec<_> =
        body.as_bytes().chunks(70_001).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let upload = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
    let answer = Answer::of(world.gateway.post("/v1/chat/completions", upload)).await;
    assert!(answer.text().starts_with("Practice"));
    assert_eq!(answer.header("x-lobstah-attempts"), Some("4"));
    assert_eq!(hanging.rogue.asked().len(), 1);
    assert!(world.bodies() == [body], "the body changed on its way");
}

#[tokio::test]
async fn an_upload_by_http_2_goes_round_as_well() {
    let (world, _refusing, _hanging) = three_bad_ones("first_byte_timeout = \"3s\"").await;
    let body = large(MODEL, FIVE_MEGABYTES, true).to_string();
    let request = h2c().post(world.gateway.url("/v1/chat/completions"));
    let mut stream = Stream::of(request.header("content-type", "application/json").body(body)).await;
    assert_eq!(stream.header("x-lobstah-attempts"), Some("4"));
    assert!(is_done(&stream.rest().await));
}

#[tokio::test]
async fn whatever_is_wrong_with_a_worker_is_not_the_requests_fault() {
    let trap = Rogue::start(|_| vec![rogue::answer(200, "", &rogue::completion("trapped"))]).await;
    let location = format!("Location: {}/v1/chat/completions\r\n", trap.url());
    let bad: Vec<Vec<Act>> = vec![
        vec![rogue::error(402, "", "no credit")],
        vec![rogue::error(404, "", "no such model")],
        vec![rogue::error(401, "", "who are you")],
        vec![rogue::error(500, "", "out of memory")],
        vec![rogue::error(307, &location, "over there")],
        vec![rogue::say("neither this nor that\r\n\r\n"), Act::Close],
        vec![Act::Close],
        vec![
            rogue::say(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"a\"",
            ),
            Act::Close,
        ],
    ];
    let mut rogues = Vec::new();
    for script in bad {
        rogues.push(RogueWorker::start(move |_| script.clone()).await);
    }
    let world = Anchored::with(|setup| rogues.iter().fold(setup, Setup::rogue)).await;
    let answer = world.gateway.answer(&ask(MODEL, "who is left?")).await;
    assert!(answer.text().starts_with("Practice"));
    assert_eq!(answer.header("x-lobstah-attempts"), Some((rogues.len() + 1).to_string().as_str()));
    for (at, rogue) in rogues.iter().enumerate() {
        // On a connection that was used before, silence may be the connection's fault: once more.
        assert!((1..=2).contains(&rogue.rogue.asked().len()), "{at}: {:?}", rogue.rogue.asked());
    }
    assert_eq!(trap.connections(), 0, "a redirect is not followed");
}

#[tokio::test]
async fn who_says_that_it_is_busy_counts_as_tried() {
    let busy = RogueWorker::start(|_| vec![rogue::error(429, "Retry-After: 30\r\n", "busy")]).await;
    let world = Anchored::with(|setup| setup.rogue(&busy)).await;
    let answer = world.gateway.answer(&ask(MODEL, "room?")).await;
    assert!(answer.text().starts_with("Practice"));
    assert_eq!(busy.rogue.asked().len(), 1);
    assert_eq!(answer.header("x-lobstah-attempts"), Some("2"));
    assert_eq!(world.gateway.answer(&ask(MODEL, "and now?")).await.status, 200);
    assert_eq!(busy.rogue.asked().len(), 1, "it is left alone for the time that it named");
}

#[tokio::test]
async fn the_only_worker_is_asked_again_when_the_time_that_it_named_is_over() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let busy_once =
        RogueWorker::start(move |_| match asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => vec![rogue::error(429, "Retry-After: 1\r\n", "busy")],
            _ => vec![rogue::answer(200, "", &rogue::completion("free again"))],
        })
        .await;
    let gateway = Node::gateway().rogue(&busy_once).start().await;
    let started = tokio::time::Instant::now();
    assert_eq!(gateway.answer(&ask(MODEL, "room?")).await.text(), "free again");
    assert!(started.elapsed() >= Duration::from_millis(900), "it said one second");
    assert_eq!(busy_once.rogue.asked().len(), 2);
}

#[tokio::test]
async fn a_failed_tls_handshake_leads_to_the_next() {
    let garbage = Rogue::garbage().await;
    let tls = (rogue_worker::new_key().node_id(), format!("https://{}", garbage.address));
    // It does not say what it has, so that it is no better known than the other.
    let shy = RogueWorker::start(|_| vec![rogue::answer(200, "", &rogue::completion("hello"))]).await;
    shy.stop_answering_capacity();
    let gateway = Node::gateway().friend_at(tls.0, &tls.1).rogue(&shy).start().await;
    let mut attempts = Vec::new();
    for _ in 0..4 {
        let answer = gateway.answer(&ask(MODEL, "hi")).await;
        assert_eq!(answer.text(), "hello");
        attempts.push(answer.header("x-lobstah-attempts").unwrap().parse::<u32>().unwrap());
    }
    assert!(attempts.iter().any(|count| *count > 1), "the other was asked first at times: {attempts:?}");

    let alone = Node::gateway().friend_at(tls.0, &tls.1).start().await;
    let answer = alone.answer(&ask(MODEL, "hi")).await;
    assert!((502..=503).contains(&answer.status), "{}", answer.body);
    assert!(answer.body.contains("TLS"), "it says what failed: {}", answer.body);
}

#[tokio::test]
async fn a_liar_who_finds_every_request_wrong_stops_none() {
    let liar = RogueWorker::start(|_| vec![rogue::error(400, "", "your request is wrong")]).await;
    let world = Anchored::with(|setup| setup.rogue(&liar)).await;
    for body in [ask(MODEL, "whole"), ask_stream(MODEL, "streamed")] {
        let answer = world.gateway.answer(&body).await;
        assert_eq!((answer.status, answer.header("x-lobstah-attempts")), (200, Some("2")), "{}", answer.body);
    }
    assert_eq!(liar.rogue.asked().len(), 2);
}

#[tokio::test]
async fn what_two_workers_find_wrong_is_told_to_the_tool() {
    let script = |_: rogue_worker::Asked<'_>| vec![rogue::error(400, "", "your request is wrong")];
    let (one, other) = (RogueWorker::start(script).await, RogueWorker::start(script).await);
    let gateway = Node::gateway().rogue(&one).rogue(&other).start().await;
    let answer = gateway.answer(&ask(MODEL, "hi")).await;
    assert_eq!((answer.status, answer.header("x-lobstah-attempts")), (400, Some("2")));
    assert_eq!(answer.json()["error"]["message"], "your request is wrong");
}

#[tokio::test]
async fn a_stream_that_breaks_before_its_first_token_is_asked_elsewhere() {
    let waiting = || vec![rogue::stream_head(), rogue::say(": waiting\n\n: waiting\n\n")];
    let breaks = RogueWorker::start(move |_| [waiting(), vec![Act::Close]].concat()).await;
    let error =
        rogue::say("data: {\"error\":{\"message\":\"the engine fell over\",\"code\":\"upstream_lost\"}}\n\n");
    let fails = RogueWorker::start(move |_| [waiting(), vec![error.clone(), Act::Close]].concat()).await;
    let world = Anchored::with(|setup| setup.rogue(&breaks).rogue(&fails)).await;
    let mut stream = world.gateway.stream(&ask_stream(MODEL, "go on")).await;
    assert_eq!(stream.header("x-lobstah-attempts"), Some("3"));
    let events = stream.rest().await;
    assert!(is_done(&events) && text_of(&events).starts_with("Practice"), "{events:?}");
}

#[tokio::test]
async fn a_worker_that_promised_to_speak_and_falls_silent_is_given_up_for_another() {
    let silent =
        RogueWorker::start(|_| vec![rogue::stream_head(), rogue::say(": waiting\n\n"), Act::Hang]).await;
    let world = Anchored::with(|setup| setup.rogue(&silent).route("silence_timeout = \"1s\"")).await;
    let mut stream = world.gateway.stream(&ask_stream(MODEL, "go on")).await;
    assert_eq!(stream.header("x-lobstah-attempts"), Some("2"));
    assert!(is_done(&stream.rest().await));
}

#[tokio::test]
async fn a_tripped_worker_is_tried_all_the_same_if_it_is_the_only_one() {
    let world = World::start().await;
    world.engine.handle.fail_next(5, 500);
    for _ in 0..5 {
        world.gateway.answer(&ask(MODEL, "hi")).await.error(502, "all_upstreams_failed");
    }
    assert_eq!(world.gateway.answer(&ask(MODEL, "hi")).await.status, 200);
}

#[tokio::test]
async fn a_tripped_worker_is_left_alone_while_there_is_another() {
    let broken = RogueWorker::start(|_| vec![rogue::error(500, "", "out of memory")]).await;
    let world = Anchored::with(|setup| setup.rogue(&broken)).await;
    for at in 0..20 {
        assert_eq!(world.gateway.answer(&ask(MODEL, &format!("{at}"))).await.status, 200);
    }
    let asked = broken.rogue.asked().len();
    assert!((3..10).contains(&asked), "asked {asked} times");
}

#[tokio::test]
async fn a_worker_that_comes_back_is_used_again() {
    let mut world = World::start().await;
    world.worker.kill();
    world.gateway.answer(&ask(MODEL, "hi")).await.error(503, "no_upstream");
    let worker = world.worker.start_again().await;
    let answer = eventually("it is used again", async || {
        let answer = world.gateway.answer(&ask(MODEL, "hi")).await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert_eq!(answer.header("x-lobstah-worker"), Some(worker.id.to_string().as_str()));
}

#[tokio::test]
async fn a_worker_that_is_busy_for_no_time_is_not_asked_in_a_loop() {
    let busy = RogueWorker::start(|_| vec![rogue::error(429, "Retry-After: 0\r\n", "busy")]).await;
    let gateway = Node::gateway().set("gateway.max_wait", "\"2s\"").rogue(&busy).start().await;
    let answer = gateway.answer(&ask(MODEL, "room?")).await;
    assert_eq!(answer.status, 429, "{}", answer.body);
    let asked = busy.rogue.asked().len();
    assert!((1..=4).contains(&asked), "asked {asked} times in two seconds");
}

#[tokio::test]
async fn a_prompt_never_goes_to_another_node_at_a_friends_url() {
    let other = RogueWorker::start(|_| vec![rogue::answer(200, "", &rogue::completion("thanks"))]).await;
    let gateway = Node::gateway().friend_at(rogue_worker::new_key().node_id(), &other.url()).start().await;
    let answer = gateway.answer(&ask(MODEL, "for my friend only")).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(other.rogue.asked().len(), 0);
}
