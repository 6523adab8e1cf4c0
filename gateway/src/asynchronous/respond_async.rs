//! `Prefer: respond-async` (RFC 7240 section 4.1): a request for inference that is taken on as a job.

use super::jobs;
use crate::{
    downstream::{Downstream, Gone},
    node::Node,
};
use bytes::Bytes;
use http::HeaderMap;
use work::Endpoint;

/// Whether the tool would rather have a job than wait.
pub fn is_preferred(headers: &HeaderMap) -> bool {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|preference| {
        let name = preference.split(';').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("respond-async")
    })
}

/// Answers 202 with the job and where it is read. `path` is that of an endpoint which jobs are for.
pub async fn take_on(node: &Node, down: &mut Downstream, path: &str, body: &Bytes) -> Result<(), Gone> {
    let endpoint = Endpoint::from_path(path).unwrap_or(Endpoint::ChatCompletions);
    let job = match jobs::take_on(node, down, endpoint, body).await {
        Ok(job) => job,
        Err(failure) => return down.fail(&failure).await,
    };
    let headers = [
        ("location", format!("/v1/jobs/{}", job.job_id)),
        ("preference-applied", "respond-async".to_owned()),
    ];
    let body = serde_json::to_vec(&job).unwrap_or_default();
    down.answer(202, "application/json", &headers, Bytes::from(body)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preference_is_found_among_others() {
        let preferred = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            values.iter().for_each(|value| {
                assert!(!headers.append("prefer", value.parse().unwrap()) || values.len() > 1)
            });
            is_preferred(&headers)
        };
        assert!(preferred(&["respond-async"]));
        assert!(preferred(&["wait=5, Respond-Async; foo=bar"]));
        assert!(preferred(&["handling=lenient", "respond-async"]));
        assert!(!preferred(&[]) && !preferred(&["wait=5"]) && !preferred(&["x=\"respond-async2\""]));
    }
}
