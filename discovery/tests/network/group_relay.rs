//! The relay of a closed group, as a client without manners sees it.

use super::support::{Listening, announced, announcement, clock, soon};
use discovery::{
    event,
    relay::{CONNECTIONS_MAX, GroupRelay},
    relays::NotSent,
};
use futures::{SinkExt, StreamExt};
use nostr_sdk::{Event, EventBuilder, Keys, Kind, Tag, TagKind};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_tls, tungstenite::Message};
use tokio_util::task::TaskTracker;

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn of(relay: &GroupRelay) -> Self {
        Self::try_of(relay).await.unwrap()
    }

    async fn try_of(relay: &GroupRelay) -> Option<Self> {
        let tcp = TcpStream::connect(relay.address()).await.unwrap();
        soon("a handshake", client_async_tls(relay.url().as_str(), tcp))
            .await
            .ok()
            .map(|(socket, _)| Self(socket))
    }

    async fn say(&mut self, message: Value) {
        soon("room to write", self.0.send(Message::text(message.to_string()))).await.unwrap();
    }

    /// `None` if the relay closed the connection.
    async fn hears(&mut self) -> Option<Value> {
        loop {
            match soon("the relay's words", self.0.next()).await {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    async fn publishes(&mut self, event: &Event) -> Result<(), String> {
        self.say(json!(["EVENT", event])).await;
        let answer = self.hears().await.unwrap();
        assert_eq!((&answer[0], &answer[1]), (&json!("OK"), &json!(event.id)), "{answer}");
        if answer[2] == true { Ok(()) } else { Err(answer[3].as_str().unwrap().to_owned()) }
    }

    /// The ids of what matches.
    async fn finds(&mut self, filter: Value) -> Vec<Value> {
        self.say(json!(["REQ", "q", filter])).await;
        let mut found = Vec::new();
        loop {
            let answer = self.hears().await.unwrap();
            match answer[0].as_str().unwrap() {
                "EVENT" => found.push(answer[2]["id"].clone()),
                "EOSE" => break,
                "CLOSED" => {}
                other => panic!("{other}"),
            }
        }
        // Else it would be told of new ones, in between.
        self.say(json!(["CLOSE", "q"])).await;
        found
    }
}

async fn start(tasks: &TaskTracker) -> GroupRelay {
    GroupRelay::start("127.0.0.1:0".parse().unwrap(), clock, tasks).await.unwrap()
}

fn event_of(keys: &Keys, kind: Kind, tags: Vec<Tag>, content: &str) -> Event {
    EventBuilder::new(kind, content).tags(tags).sign_with_keys(keys).unwrap()
}

#[tokio::test]
async fn announcements_are_replaced_deleted_and_made_again() {
    let tasks = TaskTracker::new();
    let relay = start(&tasks).await;
    let mut client = Client::of(&relay).await;
    let (keys, now) = (Keys::generate(), clock().as_millis() / 1000);
    let announcement = announcement(1);
    let [zero, one, two, three] =
        [0, 1, 2, 3].map(|second| event::announcement_event(&announcement, &keys, now + second));
    let all = json!({"kinds": [31474], "#t": ["lobstah"]});
    assert_eq!(client.publishes(&zero).await, Ok(()));
    assert_eq!(client.publishes(&zero).await, Ok(()));
    assert_eq!(client.publishes(&two).await, Ok(()));
    let replaced = client.publishes(&one).await.unwrap_err();
    assert!(replaced.contains("newer"), "{replaced}");
    assert_eq!(client.finds(all.clone()).await, [json!(two.id)]);
    assert_eq!(client.publishes(&event::deletion_event(&[], &keys, now + 2)).await, Ok(()));
    assert!(client.finds(all.clone()).await.is_empty());
    let deleted = client.publishes(&two).await.unwrap_err();
    assert!(deleted.contains("deleted"), "{deleted}");
    assert_eq!(client.publishes(&three).await, Ok(()));
    assert_eq!(client.finds(all).await, [json!(three.id)]);
    relay.stop().await;
}

#[tokio::test]
async fn what_is_not_lobstahs_or_not_true_is_refused_with_a_reason() {
    let tasks = TaskTracker::new();
    let relay = start(&tasks).await;
    let mut client = Client::of(&relay).await;
    let keys = Keys::generate();
    let expired = vec![Tag::identifier("x"), Tag::custom(TagKind::Expiration, ["1000"])];
    for (event, reason) in [
        (event_of(&keys, Kind::TextNote, vec![], "hello"), "31474"),
        (event_of(&keys, Kind::Custom(20_000), vec![], "ephemeral"), "31474"),
        (event_of(&keys, event::ANNOUNCEMENT_KIND, vec![], "no address"), "`d` tag"),
        (event_of(&keys, event::ANNOUNCEMENT_KIND, expired, "late"), "expired"),
    ] {
        let refusal = client.publishes(&event).await.unwrap_err();
        assert!(refusal.contains(reason), "{refusal}");
    }
    let mut forged = announced(1);
    forged.content.push(' ');
    assert!(client.publishes(&forged).await.unwrap_err().starts_with("invalid:"));
    assert!(client.finds(json!({})).await.is_empty());
    relay.stop().await;
}

#[tokio::test]
async fn nonsense_gets_a_notice_and_length_the_door() {
    let tasks = TaskTracker::new();
    let relay = start(&tasks).await;
    let mut client = Client::of(&relay).await;
    client.say(json!(["HELLO"])).await;
    assert_eq!(client.hears().await.unwrap()[0], "NOTICE");
    let many: Vec<Value> = [json!("REQ"), json!("q")].into_iter().chain((0..11).map(|_| json!({}))).collect();
    client.say(json!(many)).await;
    assert_eq!(client.hears().await.unwrap()[0], "CLOSED");
    client.say(json!(["NEG-OPEN", "n", {}, "6100"])).await;
    assert_eq!(client.hears().await.unwrap()[0], "NEG-ERR");
    assert_eq!(client.publishes(&announced(1)).await, Ok(()));
    let _ = client.0.send(Message::text("x".repeat(100_000))).await;
    assert_eq!(client.hears().await, None);
    relay.stop().await;
}

#[tokio::test]
async fn who_talks_too_fast_is_told_so_and_in_the_end_left() {
    let tasks = TaskTracker::new();
    let relay = start(&tasks).await;
    let mut client = Client::of(&relay).await;
    let (mut out, mut words) = client.0.split();
    let talking = async { while out.send(Message::text(r#"["CLOSE","q"]"#)).await.is_ok() {} };
    let listening = async {
        let mut told = 0;
        while let Some(Ok(word)) = words.next().await {
            told += usize::from(word.to_string().contains("rate-limited"));
        }
        told
    };
    let ((), told) = soon("the door", async { tokio::join!(talking, listening) }).await;
    assert!(told > 0);
    client = Client::of(&relay).await;
    assert_eq!(client.publishes(&announced(1)).await, Ok(()));
    relay.stop().await;
}

#[tokio::test]
async fn a_group_of_more_than_five_hundred_is_told_whole() {
    let tasks = TaskTracker::new();
    let relay = start(&tasks).await;
    let announcement = announcement(1);
    let now = clock().as_millis() / 1000;
    for _ in 0..4 {
        let mut client = Client::of(&relay).await;
        for _ in 0..150 {
            let event = event::announcement_event(&announcement, &Keys::generate(), now);
            assert_eq!(client.publishes(&event).await, Ok(()));
        }
    }
    let found = Client::of(&relay).await.finds(json!({"kinds": [31474]})).await;
    assert_eq!(found.len(), 600);
    relay.stop().await;
}

#[tokio::test]
async fn beyond_the_last_connection_nobody_gets_in_until_one_leaves() {
    let tasks = TaskTracker::new();
    let relay = start(&tasks).await;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        clients.push(Client::of(&relay).await);
    }
    assert!(Client::try_of(&relay).await.is_none());
    assert_eq!(clients[0].publishes(&announced(1)).await, Ok(()));
    drop(clients.pop());
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
    soon("room", async {
        while Client::try_of(&relay).await.is_none() {
            ticks.tick().await;
        }
    })
    .await;
    relay.stop().await;
}

#[tokio::test]
async fn it_stops_and_its_port_is_free_for_the_next() {
    let tasks = TaskTracker::new();
    let relay = start(&tasks).await;
    let listening = Listening::to(&[relay.url()]).await;
    listening.until("the relay", |states| states[0].caught_up).await;
    let taken = GroupRelay::start(relay.address(), clock, &tasks).await.unwrap_err();
    assert!(taken.to_string().contains("choose another"), "{taken}");
    soon("the relay to stop", relay.stop()).await;
    tasks.close();
    soon("its tasks", tasks.wait()).await;
    listening.until("the loss", |states| !states[0].connected).await;
    let lost = listening.relays.send(relay.url(), &announced(1)).await;
    assert!(matches!(lost, Err(NotSent::NotConnected(_))), "{lost:?}");

    let tasks = TaskTracker::new();
    let next = GroupRelay::start(relay.address(), clock, &tasks).await.unwrap();
    listening.until("the next", |states| states[0].caught_up).await;
    let event = announced(1);
    listening.relays.send(next.url(), &event).await.unwrap();
    listening.notebook.heard(&event).await;
    listening.stop().await;
    next.stop().await;
}
