//! Where Ollama is, and how its own API is asked.
//!
//! This client is for the small questions of `/api`: what is there, what is loaded, is it alive. Users'
//! requests never pass through here; the gateway forwards those itself.

use crate::EngineError;
use bytes::Bytes;
use reqwest::{Client, RequestBuilder, Response, StatusCode, redirect};
use serde::de::DeserializeOwned;
use std::time::Duration;
use url::Url;

/// A local engine accepts at once or is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// None of the questions makes Ollama load a model, so all are answered quickly.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// An answer longer than this is given up while it is read. `/api/show` with its licence and list of
/// tensors is the longest, a few hundred KiB.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Most characters of an error's text that are quoted.
const MESSAGE_CHARS_MAX: usize = 300;

/// Ollama's own API at one address. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Ollama {
    url: Url,
    client: Client,
}

impl Ollama {
    /// Connects to nothing yet. `url` has a scheme and a host, and may have a path in front of `/api`.
    pub fn new(url: Url) -> Result<Ollama, EngineError> {
        let client =
            client(&url).map_err(|source| EngineError::NoClient { url: Box::new(url.clone()), source })?;
        Ok(Ollama { url, client })
    }

    /// Where it is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &'static str) -> Result<T, EngineError> {
        self.ask(path, self.client.get(self.address(path))).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &'static str,
        body: &serde_json::Value,
    ) -> Result<T, EngineError> {
        self.ask(path, self.client.post(self.address(path)).json(body)).await
    }

    fn boxed_url(&self) -> Box<Url> {
        Box::new(self.url.clone())
    }

    fn address(&self, path: &str) -> Url {
        let mut address = self.url.clone();
        address.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        address
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        path: &'static str,
        request: RequestBuilder,
    ) -> Result<T, EngineError> {
        let response = request.send().await.map_err(|error| self.broken(path, error))?;
        let status = response.status();
        let body = self.read(path, response).await?;
        if status != StatusCode::OK {
            return Err(self.refused(path, status, &body));
        }
        serde_json::from_slice(&body).map_err(|source| EngineError::NotOllama {
            url: self.boxed_url(),
            path,
            source,
        })
    }

    async fn read(&self, path: &'static str, mut response: Response) -> Result<Vec<u8>, EngineError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(path, error))? {
            self.append(path, &mut body, &chunk)?;
        }
        Ok(body)
    }

    fn append(&self, path: &'static str, body: &mut Vec<u8>, chunk: &Bytes) -> Result<(), EngineError> {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(EngineError::TooLong { url: self.boxed_url(), path, bytes_max: ANSWER_BYTES_MAX });
        }
        body.extend_from_slice(chunk);
        Ok(())
    }

    /// A connection that is not made in time is as good as none; an answer that is late is another matter.
    fn broken(&self, path: &'static str, source: reqwest::Error) -> EngineError {
        if source.is_timeout() && !source.is_connect() {
            EngineError::TimedOut { url: self.boxed_url(), path }
        } else {
            EngineError::Unreachable { url: self.boxed_url(), source }
        }
    }

    fn refused(&self, path: &'static str, status: StatusCode, body: &[u8]) -> EngineError {
        let message = message(body);
        EngineError::Refused { url: self.boxed_url(), path, status: status.as_u16(), message }
    }
}

fn client(url: &Url) -> Result<Client, reqwest::Error> {
    install_crypto();
    let builder = Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(ANSWER_TIMEOUT);
    match url.scheme() {
        "https" => builder.build(),
        // Plain http needs no certificates: loading the system's takes time, and fails where there are none.
        _ => builder.tls_certs_only([]).build(),
    }
}

/// reqwest wants a provider even for plain http. It is the one that pingora brings; if the process has
/// chosen already, that choice stays.
fn install_crypto() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Refused only if another thread was faster.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// Ollama's errors are `{"error":"…"}`; whatever else answers is quoted as it is.
fn message(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Refusal {
        error: String,
    }
    let text = serde_json::from_slice(body)
        .map_or_else(|_| String::from_utf8_lossy(body).into_owned(), |refusal: Refusal| refusal.error);
    text.trim().chars().take(MESSAGE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_front_of_the_api_is_kept() {
        for (base, expected) in [
            ("http://127.0.0.1:11434", "http://127.0.0.1:11434/api/tags"),
            ("http://box/ollama/", "http://box/ollama/api/tags"),
        ] {
            let ollama = Ollama::new(base.parse().unwrap()).unwrap();
            assert_eq!(ollama.address("/api/tags").as_str(), expected);
        }
    }

    #[test]
    fn an_error_is_quoted_in_brief() {
        assert_eq!(message(br#"{"error":"model 'x' not found"}"#), "model 'x' not found");
        assert_eq!(message(b" gateway down \n"), "gateway down");
        assert_eq!(message(&[b'x'; 10_000]).len(), MESSAGE_CHARS_MAX);
    }
}
