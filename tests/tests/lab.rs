//! The laboratory keeps what it promises: hosts that reach each other over a way as long and as lossy as it
//! was set, with names of their own, and nothing left of them afterwards.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};
use stories::{Host, Lab, Link, eventually, soon};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
};

async fn listener(host: &Host) -> (TcpListener, SocketAddr) {
    let listener = host.run(TcpListener::bind((host.address(), 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn udp(host: &Host) -> UdpSocket {
    host.run(UdpSocket::bind((host.address(), 0))).await.unwrap()
}

#[tokio::test]
async fn a_round_trip_takes_as_long_as_was_set() {
    let Some(lab) = Lab::start() else { return };
    let (berlin, lima) = (lab.host("berlin"), lab.host("lima"));
    let (_listener, address) = listener(&lima).await;
    let connect = async || {
        let started = Instant::now();
        let stream = soon("a connection", berlin.run(TcpStream::connect(address))).await.unwrap();
        assert_eq!(stream.local_addr().unwrap().ip(), berlin.address());
        started.elapsed()
    };
    for round_trip in [0, 50, 200].map(Duration::from_millis) {
        lab.link(&berlin, &lima, Link { round_trip, loss: 0.0 });
        // The machine may be busy now and then, not always.
        let mut shortest = connect().await;
        for _ in 0..4 {
            shortest = shortest.min(connect().await);
        }
        assert!(shortest >= round_trip, "{shortest:?} for {round_trip:?}");
        assert!(shortest < round_trip + Duration::from_millis(50), "{shortest:?} for {round_trip:?}");
    }
}

#[tokio::test]
async fn a_share_of_the_packets_is_lost() {
    const BATCHES: u64 = 40;
    // Few enough for every queue on the way: the lab's loss is the only one.
    const BATCH: u64 = 50;
    let Some(lab) = Lab::start() else { return };
    let (berlin, lima) = (lab.host("berlin"), lab.host("lima"));
    let (sender, receiver) = (udp(&berlin).await, udp(&lima).await);
    let to = receiver.local_addr().unwrap();
    lab.link(&berlin, &lima, Link { round_trip: Duration::from_millis(2), loss: 0.2 });
    let mut arrived = 0;
    let mut last = None;
    for batch in 1..=BATCHES {
        for number in (batch - 1) * BATCH..batch * BATCH {
            sender.send_to(&number.to_be_bytes(), to).await.unwrap();
        }
        let traffic = eventually("each is lost or arrives", async || {
            let traffic = lab.traffic(&berlin, &lima);
            (traffic.lost + traffic.arrived == batch * BATCH).then_some(traffic)
        })
        .await;
        for _ in arrived..traffic.arrived {
            let mut packet = [0; 8];
            soon("a packet", receiver.recv(&mut packet)).await.unwrap();
            let number = Some(u64::from_be_bytes(packet));
            assert!(number > last, "{number:?} after {last:?}");
            last = number;
        }
        arrived = traffic.arrived;
    }
    // A fifth is 400; 100 either way is more than five standard deviations.
    assert!((1500..=1700).contains(&arrived), "{arrived} of {}", BATCHES * BATCH);
}

#[tokio::test]
async fn a_host_that_is_cut_off_is_silent_until_it_is_mended() {
    let Some(lab) = Lab::start() else { return };
    let (berlin, lima, oslo) = (lab.host("berlin"), lab.host("lima"), lab.host("oslo"));
    let (listener, address) = listener(&lima).await;
    let mut stream = soon("a connection", berlin.run(TcpStream::connect(address))).await.unwrap();
    let (mut accepted, from) = listener.accept().await.unwrap();
    assert_eq!(from.ip(), berlin.address());

    lab.cut(&lima);
    let before = lab.traffic(&berlin, &lima);
    stream.write_all(b"late").await.unwrap();
    let connect = oslo.run(TcpStream::connect(address));
    let lost = eventually("packets of both are lost", async || {
        let (one, other) = (lab.traffic(&berlin, &lima), lab.traffic(&oslo, &lima));
        (one.lost > before.lost && other.lost > 0).then_some(one)
    });
    let ((), connected) = tokio::join!(
        async {
            let traffic = lost.await;
            assert_eq!(traffic.arrived, before.arrived);
            lab.mend(&lima);
        },
        soon("a connection", connect),
    );
    assert_eq!(connected.unwrap().local_addr().unwrap().ip(), oslo.address());
    let mut late = [0; 4];
    soon("what was sent meanwhile", accepted.read_exact(&mut late)).await.unwrap();
    assert_eq!(&late, b"late");
}

/// The first address that a program on this host finds for a name; `None` if it is unknown.
async fn looked_up(host: &Host, name: &str) -> Option<IpAddr> {
    let mut getent = host.command("getent");
    getent.args(["ahostsv4", name]);
    let looking = tokio::task::spawn_blocking(move || getent.output().unwrap());
    let found = soon("an address", looking).await.unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    found.split_whitespace().next().map(|address| address.parse().unwrap())
}

#[tokio::test]
async fn a_name_means_what_the_story_says_each_time() {
    let Some(lab) = Lab::start() else { return };
    let (host, elsewhere) = (lab.host("berlin"), lab.host("lima"));
    let (public, own) = (elsewhere.address(), IpAddr::from(Ipv4Addr::LOCALHOST));
    assert_eq!(looked_up(&host, "moving.example").await, None, "nobody to ask");
    let dns = host.dns(move |name, nth| match (name, nth) {
        ("moving.example", 0) => vec![public],
        ("moving.example", _) => vec![own],
        _ => vec![],
    });
    assert_eq!(looked_up(&host, "moving.example").await, Some(public));
    assert_eq!(looked_up(&host, "moving.example").await, Some(own));
    assert_eq!(looked_up(&host, "other.example").await, None);
    assert_eq!((dns.lookups("moving.example"), dns.lookups("never.example")), (2, 0));
    assert_eq!(looked_up(&elsewhere, "moving.example").await, None, "a name server of its own");

    host.hosts_file(&[("moving.example", public), ("other.example", public)]);
    assert_eq!(looked_up(&host, "moving.example").await, Some(public));
    assert_eq!(looked_up(&host, "other.example").await, Some(public));
    assert_eq!(dns.lookups("moving.example"), 2, "the file comes first");
}

#[tokio::test]
async fn nothing_is_left_of_a_lab() {
    let Some(lab) = Lab::start() else { return };
    let host = lab.host("short-lived");
    let named = format!("{}-", std::process::id());
    let ours = |folder: &str| {
        let entries = std::fs::read_dir(folder).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        names.filter(|name| name.contains(&named) && name.ends_with("short-lived")).count()
    };
    for folder in ["/run/netns", "/etc/netns"] {
        assert_eq!(ours(folder), 1, "{folder}");
    }
    let other = host.clone();
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _host = other;
        drop(lab);
        drop(host);
        panic!("as a story does that fails");
    }));
    assert!(panics.is_err());
    for folder in ["/run/netns", "/etc/netns"] {
        assert_eq!(ours(folder), 0, "{folder}");
    }
}
