//! Uploads, and what is left of them when they are cut, too large, deleted or expired.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{FILE_MAX, Home, NOW, later};
use serde_json::json;
use tokio::io::AsyncReadExt;
use work::{
    Work,
    files::{ContentError, FilePage, NewFile, Order, Purpose, UploadError},
};

fn new(name: &str) -> NewFile {
    NewFile { name: name.into(), purpose: Purpose::UserData, expires_after_seconds: None }
}

async fn upload(work: &Work, new: NewFile, bytes: &[u8]) -> Result<String, UploadError> {
    let mut upload = work.files().upload(new, FILE_MAX).await?;
    upload.write(bytes).await?;
    Ok(upload.finish(NOW).await?.id)
}

async fn range(work: &Work, id: &str, first: u64, last: Option<u64>) -> Result<String, ContentError> {
    let mut content = work.files().content(id, first, last).await?;
    let mut text = String::new();
    content.reader.read_to_string(&mut text).await.unwrap();
    assert_eq!(content.range.end - content.range.start, text.len() as u64);
    Ok(text)
}

#[tokio::test]
async fn a_file_is_read_back_whole_and_in_ranges() {
    let home = Home::new();
    let work = home.open();
    let id = upload(&work, new("notes.txt"), b"0123456789").await.unwrap();
    let file = work.files().get(&id).await.unwrap().unwrap();
    let expected = json!({"id": id, "object": "file", "bytes": 10, "created_at": NOW.as_millis() / 1000,
        "filename": "notes.txt", "purpose": "user_data", "status": "uploaded"});
    assert_eq!(serde_json::to_value(&file).unwrap(), expected);
    assert_eq!(range(&work, &id, 0, None).await.unwrap(), "0123456789");
    assert_eq!(range(&work, &id, 2, Some(4)).await.unwrap(), "234");
    assert_eq!(range(&work, &id, 8, Some(u64::MAX)).await.unwrap(), "89");
    assert!(matches!(range(&work, &id, 10, None).await, Err(ContentError::OutOfRange { bytes: 10 })));
    assert!(matches!(range(&work, &id, 5, Some(4)).await, Err(ContentError::OutOfRange { .. })));
    let empty = upload(&work, new("empty"), b"").await.unwrap();
    assert_eq!(range(&work, &empty, 0, None).await.unwrap(), "");
}

#[tokio::test]
async fn an_upload_that_is_cut_off_leaves_nothing() {
    let home = Home::new();
    let work = home.open();
    let mut cut = work.files().upload(new("cut"), FILE_MAX).await.unwrap();
    cut.write(b"half").await.unwrap();
    let going = work.files().upload(new("goes on"), FILE_MAX).await.unwrap();
    drop(cut);
    assert_eq!(home.files().len(), 1, "only the one that goes on");
    work.sweep(NOW).await.unwrap();
    let begun: i64 = home.raw().query_row("SELECT count(*) FROM upload", [], |row| row.get(0)).unwrap();
    assert_eq!(begun, 1);
    going.finish(NOW).await.unwrap();
    assert_eq!(work.files().list(FilePage::default()).await.unwrap().data.len(), 1);
}

#[tokio::test]
async fn what_is_too_large_is_refused_while_it_comes() {
    let home = Home::new();
    let work = Work::open_with_room(home.path(), 100).unwrap();
    let mut large = work.files().upload(new("large"), 10).await.unwrap();
    large.write(&[0; 10]).await.unwrap();
    assert!(matches!(large.write(&[0]).await, Err(UploadError::TooLarge { bytes_max: 10 })));
    drop(large);
    upload(&work, new("fits"), &[0; 60]).await.unwrap();
    let refused = upload(&work, new("does not"), &[0; 41]).await;
    assert!(matches!(refused, Err(UploadError::NoRoom { bytes_max: 100 })), "{refused:?}");

    // Each has room when it begins; only one of them when it ends.
    let mut one = work.files().upload(new("one"), FILE_MAX).await.unwrap();
    let mut two = work.files().upload(new("two"), FILE_MAX).await.unwrap();
    one.write(&[0; 30]).await.unwrap();
    two.write(&[0; 30]).await.unwrap();
    one.finish(NOW).await.unwrap();
    assert!(matches!(two.finish(NOW).await, Err(UploadError::NoRoom { .. })));
    assert_eq!(home.files().len(), 2);
}

#[tokio::test]
async fn a_name_is_data_and_never_a_path() {
    let home = Home::new();
    let work = home.open();
    let id = upload(&work, new("../../etc/passwd"), b"x").await.unwrap();
    assert_eq!(work.files().get(&id).await.unwrap().unwrap().filename, "../../etc/passwd");
    assert_eq!(home.files(), [home.path().join("files").join(&id)]);
    for bad in ["", "a\nb", "a\0b", &"x".repeat(256)] {
        assert!(matches!(upload(&work, new(bad), b"").await, Err(UploadError::BadName)), "{bad:?}");
    }
    for id in ["../work.db", "", "file-../x"] {
        assert!(matches!(work.files().content(id, 0, None).await, Err(ContentError::NotFound)));
        assert!(work.files().delete(id).await.unwrap().is_none());
    }
    let written = NewFile { purpose: Purpose::BatchOutput, ..new("x") };
    assert!(matches!(upload(&work, written, b"").await, Err(UploadError::BadPurpose(_))));
}

#[tokio::test]
async fn files_expire_when_they_were_told_to() {
    let home = Home::new();
    let work = home.open();
    let hour = NewFile { expires_after_seconds: Some(3600), ..new("hour") };
    let id = upload(&work, hour.clone(), b"x").await.unwrap();
    let kept = upload(&work, new("kept"), b"x").await.unwrap();
    let batch = upload(&work, NewFile { purpose: Purpose::Batch, ..new("batch") }, b"{}").await.unwrap();
    let shown = serde_json::to_value(work.files().get(&id).await.unwrap()).unwrap();
    assert_eq!(shown["expires_at"], NOW.as_millis() / 1000 + 3600);
    work.sweep(later(3_600_000 - 1)).await.unwrap();
    assert!(work.files().get(&id).await.unwrap().is_some());
    work.sweep(later(3_600_000)).await.unwrap();
    assert!(work.files().get(&id).await.unwrap().is_none());
    work.sweep(later(30 * 24 * 3_600_000)).await.unwrap();
    assert!(work.files().get(&batch).await.unwrap().is_none());
    assert_eq!(home.files(), [home.path().join("files").join(&kept)]);
    let short = NewFile { expires_after_seconds: Some(3599), ..hour };
    assert!(matches!(upload(&work, short, b"").await, Err(UploadError::BadExpiry)));
}

#[tokio::test]
async fn the_list_is_read_from_either_end_and_by_purpose() {
    let home = Home::new();
    let work = home.open();
    let mut ids = Vec::new();
    for n in 0..5 {
        let purpose = if n % 2 == 0 { Purpose::UserData } else { Purpose::Vision };
        ids.push(upload(&work, NewFile { purpose, ..new("x") }, b"").await.unwrap());
    }
    let list = async |page: FilePage| {
        let list = work.files().list(page).await.unwrap();
        (list.data.into_iter().map(|file| file.id).collect::<Vec<_>>(), list.has_more)
    };
    let ascending = FilePage { order: Order::Ascending, limit: Some(2), ..FilePage::default() };
    assert_eq!(list(ascending.clone()).await, (ids[..2].to_vec(), true));
    let rest = FilePage { after: Some(ids[1].clone()), limit: None, ..ascending };
    assert_eq!(list(rest).await, (ids[2..].to_vec(), false));
    let vision = FilePage { purpose: Some(Purpose::Vision), ..FilePage::default() };
    assert_eq!(list(vision).await, (vec![ids[3].clone(), ids[1].clone()], false));
    work.files().delete(&ids[4]).await.unwrap();
    assert_eq!(list(FilePage { limit: Some(1), ..FilePage::default() }).await, (vec![ids[3].clone()], true));
}

/// Run by the next test, in a process that may write files of 1 MiB at the most.
#[tokio::test]
async fn child_meets_a_full_disk() {
    let Some(home) = std::env::var_os("WORK_TEST_CHILD") else { return };
    let work = Work::open(std::path::Path::new(&home)).unwrap();
    let mut upload = work.files().upload(new("large"), FILE_MAX).await.unwrap();
    let chunk = vec![0; 64 * 1024];
    let mut refused = None;
    for _ in 0..64 {
        // A write is only begun when it returns; what became of it is said by a later one.
        refused = upload.write(&chunk).await.err();
        if refused.is_some() {
            break;
        }
    }
    let refused = match refused {
        Some(refused) => refused,
        None => upload.finish(NOW).await.unwrap_err(),
    };
    assert!(matches!(refused, UploadError::Store(work::StoreError::DiskFull)), "{refused:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_full_disk_refuses_an_upload_and_loses_nothing() {
    let home = Home::new();
    let work = home.open();
    let before = upload(&work, new("before"), b"kept").await.unwrap();
    drop(work);
    let this = std::env::current_exe().unwrap();
    let child = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 2048; exec \"$0\" --exact child_meets_a_full_disk"])
        .arg(this)
        .env("WORK_TEST_CHILD", home.path())
        .status()
        .unwrap();
    assert!(child.success());
    let work = home.open();
    work.sweep(NOW).await.unwrap();
    assert_eq!(range(&work, &before, 0, None).await.unwrap(), "kept");
    assert_eq!(home.files().len(), 1);
}
