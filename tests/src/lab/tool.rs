//! reqwest on a host: it connects from there, and knows nothing of it.

use super::Host;
use crate::client;
use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tower::{Layer, Service};

impl Host {
    /// A tool on this host that speaks HTTP/1.1, as [`client::http`] is one elsewhere.
    pub fn http(&self) -> reqwest::Client {
        client::tool().connector_layer(OnHost(self.clone())).build().unwrap()
    }
}

/// Around reqwest's connector.
#[derive(Clone, Debug)]
struct OnHost(Host);

#[derive(Clone, Debug)]
struct ConnectOnHost<S> {
    host: Host,
    connect: S,
}

impl<S> Layer<S> for OnHost {
    type Service = ConnectOnHost<S>;

    fn layer(&self, connect: S) -> ConnectOnHost<S> {
        ConnectOnHost { host: self.0.clone(), connect }
    }
}

impl<S, To> Service<To> for ConnectOnHost<S>
where
    S: Service<To>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.connect.poll_ready(context)
    }

    fn call(&mut self, to: To) -> Self::Future {
        let (host, connection) = (self.host.clone(), self.connect.call(to));
        Box::pin(async move { host.run(connection).await })
    }
}
