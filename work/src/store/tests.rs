//! What the store says when it cannot write, and that it lives on.

use super::{error::StoreError, tx::Tx};
use crate::{Endpoint, Metadata, Work, jobs::NewJob, jobs::SubmitJobError, step::Step};
use protocol::Timestamp;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

async fn submit(work: &Work) -> Result<String, SubmitJobError> {
    let body = format!("{{\"model\":\"m\",\"prompt\":\"{}\"}}", "x".repeat(3000)).into_bytes();
    let (endpoint, metadata) = (Endpoint::Completions, Metadata::default());
    let job = NewJob { endpoint, body, metadata, idempotency: None };
    Ok(work.jobs().submit(job, NOW).await?.into_inner())
}

async fn set(work: &Work, pragma: &'static str) {
    let set = move |tx: &Tx<'_>| {
        tx.0.query_row(&format!("PRAGMA {pragma}"), [], |_| Ok(())).or_else(|error| match error {
            rusqlite::Error::QueryReturnedNoRows => Ok(()),
            error => Err(error),
        })?;
        Ok(Ok::<_, StoreError>(()))
    };
    work.write(Step::Swept, set).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_and_loses_nothing() {
    let home = tempfile::tempdir().unwrap();
    let work = Work::open(home.path()).unwrap();
    let kept = submit(&work).await.unwrap();
    set(&work, "max_page_count = 1").await;
    let mut all = vec![kept];
    let refused = loop {
        match submit(&work).await {
            Ok(id) => all.push(id),
            Err(refused) => break refused,
        }
        assert!(all.len() < 100, "the disk was never full");
    };
    assert!(matches!(refused, SubmitJobError::Store(StoreError::DiskFull)), "{refused:?}");
    assert!(refused.to_string().contains("free some space"));
    set(&work, "max_page_count = 4294967294").await;
    all.push(submit(&work).await.unwrap());
    for id in all {
        assert!(work.jobs().get(&id).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_store_that_may_not_be_written_says_so_and_can_be_read() {
    let home = tempfile::tempdir().unwrap();
    let work = Work::open(home.path()).unwrap();
    let kept = submit(&work).await.unwrap();
    set(&work, "query_only = 1").await;
    let refused = submit(&work).await.unwrap_err();
    assert!(matches!(refused, SubmitJobError::Store(StoreError::ReadOnly)), "{refused:?}");
    assert!(work.jobs().get(&kept).await.unwrap().is_some());
}

#[tokio::test]
async fn one_request_that_cannot_be_kept_does_not_take_others_with_it() {
    let home = tempfile::tempdir().unwrap();
    let work = Work::open(home.path()).unwrap();
    let clash = |tx: &Tx<'_>| {
        tx.run("INSERT INTO clock VALUES (1, 0, 0)", [])?;
        Ok(Ok::<_, StoreError>(()))
    };
    // Asked together, so that they meet in one transaction.
    let (good, bad, also_good) = tokio::join!(submit(&work), work.write(Step::Swept, clash), submit(&work));
    assert!(matches!(bad, Err(StoreError::Sqlite(_))), "{bad:?}");
    for id in [good.unwrap(), also_good.unwrap()] {
        assert!(work.jobs().get(&id).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_closed_store_says_so_and_keeps_what_it_took() {
    let home = tempfile::tempdir().unwrap();
    let work = Work::open(home.path()).unwrap();
    let kept = submit(&work).await.unwrap();
    work.close();
    assert!(matches!(submit(&work).await, Err(SubmitJobError::Store(StoreError::Closed))));
    drop(work);
    let again = Work::open(home.path()).unwrap();
    assert!(again.jobs().get(&kept).await.unwrap().is_some());
}

#[cfg(unix)]
#[test]
fn everything_is_for_its_owners_eyes_only() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let _work = Work::open(home.path()).unwrap();
    for entry in std::fs::read_dir(home.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o077;
        assert_eq!(mode, 0, "{:?}", entry.file_name());
    }
}
