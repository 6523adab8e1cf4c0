//! OpenAI's files: what goes in comes out, in parts too; what is cut off, too large or refused leaves
//! nothing; names are names.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use futures::stream;
use std::{fs, path::Path};
use stories::{
    Answer, Home, Node, Raw, Value,
    batching::{BOUNDARY, END, file_head, form, form_type, lines},
    engine::MODEL,
    eventually, json,
    small_disk::SmallDisk,
    soon,
};

/// What is on the disk of a node's files.
fn on_disk(node: &Node) -> Vec<String> {
    let folder = fs::read_dir(node.home().file("files")).unwrap();
    folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

async fn content(node: &Node, file: &Value, range: &str) -> Answer {
    let path = format!("/v1/files/{}/content", file["id"].as_str().unwrap());
    let request = node.get(&path);
    Answer::of(if range.is_empty() { request } else { request.header("range", range) }).await
}

#[tokio::test]
async fn what_is_uploaded_is_listed_read_in_parts_and_deleted() {
    let node = Node::gateway().start().await;
    let file = node.upload("user_data", "notes.txt", b"0123456789").await;
    assert_eq!(
        (&file["object"], &file["bytes"], &file["filename"]),
        (&json!("file"), &json!(10), &json!("notes.txt"))
    );
    assert!(file["created_at"].is_u64() && file["status"] == "uploaded" && file.get("expires_at").is_none());
    let path = format!("/v1/files/{}", file["id"].as_str().unwrap());
    assert_eq!(node.get_json(&path).await, file);

    let whole = content(&node, &file, "").await;
    assert_eq!((whole.status, whole.body.as_str()), (200, "0123456789"));
    assert_eq!(whole.header("content-type"), Some("application/octet-stream"));
    assert_eq!(whole.header("content-disposition"), Some("attachment; filename*=UTF-8''notes.txt"));
    for (range, part, said) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-1", "9", "bytes 9-9/10"),
        ("bytes=8-99", "89", "bytes 8-9/10"),
    ] {
        let answer = content(&node, &file, range).await;
        assert_eq!((answer.status, answer.body.as_str()), (206, part), "{range}");
        assert_eq!(answer.header("content-range"), Some(said));
    }
    for beyond in ["bytes=10-", "bytes=-0"] {
        let answer = content(&node, &file, beyond).await;
        answer.error(416, "range_not_satisfiable");
        assert_eq!(answer.header("content-range"), Some("bytes */10"));
    }
    assert_eq!(
        content(&node, &file, "bytes=0-1,4-5").await.status,
        200,
        "several parts at once are not given"
    );
    let other =
        node.get(&format!("{path}/content")).header("range", "bytes=2-").header("if-range", "\"another\"");
    assert_eq!(Answer::of(other).await.body, "0123456789", "of another file all is needed");
    let head = Answer::of(node.http().head(node.url(&format!("{path}/content")))).await;
    assert_eq!((head.status, head.header("content-length"), head.body.as_str()), (200, Some("10"), ""));

    let deleted = Answer::of(node.http().delete(node.url(&path))).await.json();
    assert_eq!(deleted, json!({"id": file["id"], "object": "file", "deleted": true}));
    for request in
        [node.get(&path), node.get(&format!("{path}/content")), node.http().delete(node.url(&path))]
    {
        Answer::of(request).await.error(404, "not_found");
    }
    assert_eq!(on_disk(&node), Vec::<String>::new());
}

#[tokio::test]
async fn the_list_is_read_page_by_page_from_either_end() {
    let node = Node::gateway().start().await;
    let mut ids = Vec::new();
    for (at, purpose) in ["user_data", "batch", "user_data", "batch", "batch"].iter().enumerate() {
        let file = node.upload(purpose, &format!("{at}.jsonl"), lines(MODEL, 1).as_bytes()).await;
        ids.push(file["id"].as_str().unwrap().to_owned());
    }
    let listed = async |query: &str| {
        let page = node.get_json(&format!("/v1/files?{query}")).await;
        let found: Vec<usize> = page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| ids.iter().position(|id| file["id"] == *id).unwrap())
            .collect();
        (found, page["has_more"].as_bool().unwrap(), page["last_id"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(listed("").await, (vec![4, 3, 2, 1, 0], false, ids[0].clone()));
    let (first, more, last) = listed("limit=2").await;
    assert_eq!((first, more), (vec![4, 3], true));
    assert_eq!(listed(&format!("limit=3&after={last}")).await.0, [2, 1, 0]);
    assert_eq!(listed("order=asc&limit=2").await.0, [0, 1]);
    assert_eq!(listed("purpose=user_data").await.0, [2, 0]);
    for (query, param) in [
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("limit=x", "limit"),
        ("order=up", "order"),
        ("purpose=fun", "purpose"),
        ("after=file-none", "after"),
    ] {
        let error = Answer::of(node.get(&format!("/v1/files?{query}"))).await.error(400, "invalid_value");
        assert_eq!(error["param"], param);
    }
}

#[tokio::test]
async fn what_is_no_upload_is_refused_by_field_and_leaves_nothing() {
    let node = Node::gateway().start().await;
    let post = async |form: Vec<u8>| Answer::of(node.post_form(form)).await;
    let none = post(form(&[], "a", b"x")).await.error(400, "invalid_value");
    assert_eq!(none["param"], "purpose");
    for (fields, param) in [
        (vec![("purpose", "batch_output")], "purpose"),
        (vec![("purpose", "fun")], "purpose"),
        (vec![("purpose", "batch"), ("expires_after[anchor]", "created_at")], "expires_after"),
        (
            vec![("purpose", "batch"), ("expires_after[anchor]", "now"), ("expires_after[seconds]", "3600")],
            "expires_after",
        ),
        (
            vec![
                ("purpose", "batch"),
                ("expires_after[anchor]", "created_at"),
                ("expires_after[seconds]", "60"),
            ],
            "expires_after",
        ),
    ] {
        let error = post(form(&fields, "a", b"x")).await.error(400, "invalid_value");
        assert_eq!(error["param"], param, "{fields:?}");
    }
    let no_file =
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch{END}");
    assert_eq!(post(no_file.into_bytes()).await.error(400, "invalid_value")["param"], "file");
    assert_eq!(
        post(form(&[("purpose", "batch")], &"n".repeat(300), b"x")).await.error(400, "invalid_value")["param"],
        "file"
    );
    let two = [file_head("a").as_bytes(), b"x\r\n", &form(&[("purpose", "batch")], "b", b"y")].concat();
    assert_eq!(post(two).await.error(400, "invalid_value")["param"], "file");
    post(b"no form at all".to_vec()).await.error(400, "invalid_value");
    Answer::of(node.post("/v1/files", "{}")).await.error(415, "unsupported_media_type");
    let without =
        node.http().post(node.url("/v1/files")).header("content-type", "multipart/form-data").body("x");
    Answer::of(without).await.error(400, "invalid_value");
    let method = Answer::of(node.http().put(node.url("/v1/files"))).await;
    method.error(405, "method_not_allowed");
    assert_eq!(method.header("allow"), Some("GET, HEAD, POST"));
    assert_eq!(node.get_json("/v1/files").await["data"], json!([]));
    assert_eq!(on_disk(&node), Vec::<String>::new());
}

#[tokio::test]
async fn fields_may_come_behind_the_file_and_say_how_long_it_lives() {
    let node = Node::gateway().start().await;
    let form = format!(
        "{}some text\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"expires_after[anchor]\"\r\n\r\ncreated_at\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"unknown\"\r\n\r\nlet be\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"expires_after[seconds]\"\r\n\r\n3600{END}",
        file_head("late.txt")
    );
    let file = Answer::of(node.post_form(form)).await.json();
    let life = file["expires_at"].as_u64().unwrap() - file["created_at"].as_u64().unwrap();
    assert_eq!((&file["purpose"], &file["status"], life), (&json!("user_data"), &json!("uploaded"), 3600));
    let batch = node.upload("batch", "b.jsonl", b"{\"custom_id\": 7}\n").await;
    let life = batch["expires_at"].as_u64().unwrap() - batch["created_at"].as_u64().unwrap();
    assert_eq!((&batch["status"], life), (&json!("error"), 30 * 24 * 3600));
    assert!(batch["status_details"].as_str().unwrap().starts_with("line 1: "), "{batch}");
}

#[tokio::test]
async fn a_name_is_a_name_and_never_a_path() {
    let node = Node::gateway().start().await;
    let names = [
        "../../etc/passwd",
        "/etc/passwd",
        "..\\\\..\\\\boot",
        "a/../../b",
        "~",
        "über €.jsonl",
        "\\\"q\\\"",
    ];
    for name in names {
        let plain = name.replace("\\\\", "\\").replace("\\\"", "\"");
        let file = node.upload("user_data", name, name.as_bytes()).await;
        assert_eq!(file["filename"], plain);
        let read = content(&node, &file, "").await;
        assert_eq!(read.body, name);
        let disposition = read.header("content-disposition").unwrap();
        assert!(
            disposition.is_ascii() && !disposition.contains("/") && !disposition.contains('"'),
            "{disposition}"
        );
    }
    assert!(
        on_disk(&node).iter().all(|name| name.starts_with("file-") && name.len() == 37),
        "{:?}",
        on_disk(&node)
    );
    assert_eq!(on_disk(&node).len(), names.len());
    for path in
        ["/v1/files/..%2Fidentity.json/content", "/v1/files/%2e%2e/content", "/v1/files/../identity.json"]
    {
        let mut raw = Raw::to(node.gateway_address()).await;
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
        let answer = raw.answer().await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused_without_being_read() {
    let node =
        Node::gateway().set("files.max", "\"64KiB\"").set("gateway.max_body", "\"1KiB\"").start().await;
    let fits = node.upload("user_data", "fits", &vec![b'x'; 64 * 1024]).await;
    assert_eq!(fits["bytes"], 64 * 1024, "gateway.max_body is not about files");

    // Announced: answered before anything of it is sent.
    let mut announced = Raw::to(node.gateway_address()).await;
    announced
        .send(format!("POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: 99999999999\r\n\r\n", form_type()))
        .await;
    assert_eq!(announced.head().await.status, 413);

    // Not announced: answered as soon as it is too much, while more could come.
    let mut chunked = Raw::to(node.gateway_address()).await;
    let head = file_head("large");
    chunked
        .send(format!(
            "POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{head}\r\n",
            form_type(), head.len()
        ))
        .await;
    let piece = format!("{:x}\r\n{}\r\n", 16 * 1024, "y".repeat(16 * 1024));
    for _ in 0..5 {
        chunked.send(&piece).await;
    }
    let answer = chunked.answer().await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (413, &json!("request_too_large")));
    assert!(answer.text().contains("[files]"), "{}", answer.text());
    assert_eq!(node.get_json("/v1/files").await["data"].as_array().unwrap().len(), 1);
    eventually("nothing is left of it", async || (on_disk(&node).len() == 1).then_some(())).await;
}

#[tokio::test]
async fn an_upload_that_is_cut_off_leaves_nothing() {
    let mut node = Node::gateway().start().await;
    let begun = form(&[("purpose", "batch")], "cut.jsonl", &vec![b'z'; 100_000]);
    let head = format!(
        "POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        form_type(),
        begun.len()
    );
    for cut in [begun.len() / 2, begun.len() - 1, begun.len() - END.len()] {
        let mut tool = Raw::to(node.gateway_address()).await;
        tool.send(&head).await;
        tool.send(&begun[..cut]).await;
        eventually("the upload is on its way", async || (!on_disk(&node).is_empty()).then_some(())).await;
        drop(tool);
        eventually("nothing is left of it", async || on_disk(&node).is_empty().then_some(())).await;
    }
    // Complete as a message, and yet no whole form.
    let short = &begun[..begun.len() - END.len()];
    Answer::of(node.post_form(short.to_vec())).await.error(400, "invalid_value");
    assert_eq!(on_disk(&node), Vec::<String>::new());

    // The node dies in the middle: the next one tidies up.
    let mut tool = Raw::to(node.gateway_address()).await;
    tool.send(&head).await;
    tool.send(&begun[..50_000]).await;
    eventually("the upload is on its way", async || (!on_disk(&node).is_empty()).then_some(())).await;
    node.kill();
    let node = node.start_again().await;
    eventually("nothing is left of it", async || on_disk(&node).is_empty().then_some(())).await;
    assert_eq!(node.get_json("/v1/files").await["data"], json!([]));
}

#[tokio::test]
async fn a_large_upload_and_its_download_take_no_memory_to_speak_of() {
    const PIECE: usize = 1024 * 1024;
    const PIECES: u64 = 100;
    const MOST: u64 = 24 * 1024 * 1024;
    let node = Node::gateway().start().await;
    node.upload("user_data", "warm", b"up").await;
    let before = node.process.resident_bytes();
    let fields =
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n");
    let piece = bytes::Bytes::from(vec![b'\r'; PIECE]);
    let pieces = std::iter::once(bytes::Bytes::from(fields + &file_head("large")))
        .chain((0..PIECES).map(move |_| piece.clone()))
        .chain([bytes::Bytes::from(END)]);
    let body = reqwest::Body::wrap_stream(stream::iter(pieces.map(Ok::<_, std::io::Error>)));
    let uploaded = Answer::of(node.post_form(body)).await;
    assert_eq!(uploaded.status, 200, "{}", uploaded.body);
    assert_eq!(uploaded.json()["bytes"], PIECES * PIECE as u64);
    let grown = node.process.resident_bytes().saturating_sub(before);
    assert!(grown < MOST, "{grown} bytes more after an upload");

    let path = format!("/v1/files/{}/content", uploaded.json()["id"].as_str().unwrap());
    let mut response = soon("an answer", node.get(&path).send()).await.unwrap();
    let mut read = 0;
    while let Some(chunk) = soon("bytes", response.chunk()).await.unwrap() {
        assert!(chunk.iter().all(|byte| *byte == b'\r'));
        read += chunk.len() as u64;
    }
    assert_eq!(read, PIECES * PIECE as u64);
    let grown = node.process.resident_bytes().saturating_sub(before);
    assert!(grown < MOST, "{grown} bytes more after a download");
}

#[tokio::test]
async fn a_full_disk_is_said_and_costs_no_other_file() {
    let home = Home::new();
    let Some(disk) = SmallDisk::over(&home.file(""), 8 * 1024) else { return };
    let node = Node::gateway().in_home(home).start().await;
    let kept = node.upload("user_data", "kept", b"kept").await;
    let large = form(&[("purpose", "user_data")], "large", &vec![b'x'; 12 * 1024 * 1024]);
    let refused = Answer::of(node.post_form(large)).await.error(500, "internal_error");
    assert!(refused["message"].as_str().unwrap().contains("disk is full"), "{refused}");
    eventually("its part is gone", async || (on_disk(&node).len() == 1).then_some(())).await;
    assert_eq!(content(&node, &kept, "").await.body, "kept");
    let again = node.upload("user_data", "small", b"fits").await;
    assert_eq!(content(&node, &again, "").await.body, "fits");
    drop(node);
    drop(disk);
}

#[tokio::test]
async fn with_keys_files_batches_and_jobs_need_one() {
    let node = Node::gateway().set("gateway.api_keys", "[\"sesame-open\"]").start().await;
    for path in ["/v1/files", "/v1/batches", "/v1/files/file-x/content", "/v1/jobs/x"] {
        Answer::of(node.get(path)).await.error(401, "invalid_api_key");
        let known = Answer::of(node.get(path).bearer_auth("sesame-open")).await;
        assert!(matches!(known.status, 200 | 404), "{path}: {}", known.status);
    }
    Answer::of(node.post_form(form(&[("purpose", "batch")], "a", b"x"))).await.error(401, "invalid_api_key");
    assert!(Path::new(&node.home().file("files")).read_dir().unwrap().next().is_none());
}
