//! Short texts of others: `x-lobstah-auth`, `x-lobstah-requester`, the base64 carriers, and a tracker's
//! `POST /unannounce`.
#![no_main]

use fuzz::{KEY, ME, NOW};
use libfuzzer_sys::fuzz_target;
use protocol::{
    Announcement, ModelName, NodeId, Order, Receipt, Requester, Signed, Unannounce,
    auth::{Asked, Auth, InvalidAuth},
    carriers,
};

fuzz_target!(|data: &[u8]| {
    let _ = carriers::order_from_header(data);
    let _ = carriers::from_base64::<Receipt>(data).and_then(Signed::verify);
    let _ = carriers::from_base64::<Announcement>(data).and_then(Signed::verify);
    let _ = carriers::from_base64::<Order>(data).and_then(Signed::verify);
    if let Ok(word) = Unannounce::parse(data) {
        assert_eq!(Unannounce::parse(word.to_json().as_bytes()).as_ref(), Ok(&word));
        let _ = word.verify(NOW);
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    names_have_one_spelling(text);
    if let Ok(auth) = Auth::parse(text) {
        assert_eq!(Auth::parse(&auth.to_header()).as_ref(), Ok(&auth));
        let _ = auth.verify(&asked("/v1/jobs/7"), NOW);
    }
    what_is_asked_is_what_is_signed(text);
});

fn names_have_one_spelling(text: &str) {
    if let Ok(node) = text.parse::<NodeId>() {
        assert_eq!(node.to_string(), text);
    }
    if let Ok(requester) = text.parse::<Requester>() {
        assert_eq!(requester.to_string(), text);
    }
    if let Ok(model) = text.parse::<ModelName>() {
        assert_eq!(model.as_str(), text);
        let tagged: ModelName = model.with_tag().parse().unwrap_or_else(|_| model.clone());
        assert!(model.same_model(&tagged));
    }
}

fn asked(path: &str) -> Asked<'_> {
    Asked { worker: *ME, method: "GET", path }
}

fn what_is_asked_is_what_is_signed(path: &str) {
    let header = Auth::sign(&KEY, &asked(path), NOW).to_header();
    let auth = Auth::parse(&header).expect("what we write we read");
    assert_eq!(auth.clone().verify(&asked(path), NOW).map(|proof| proof.node()), Ok(*ME));
    let other = format!("{path}/");
    assert_eq!(auth.verify(&asked(&other), NOW).err(), Some(InvalidAuth::BadSignature));
}
