//! What the practice engine promises, and what our client of Ollama's API makes of it: both over real
//! sockets. Nothing here sleeps; whoever waits, waits for a condition.

#[cfg(test)]
mod practice {
    mod answers;
    mod api;
    mod native;
    mod support;
    mod trouble;
}
