//! Relays and trackers over real sockets: good ones, and ones that tests play. Nothing here sleeps;
//! whoever waits, waits for a condition.

#[cfg(test)]
mod network {
    mod asking;
    mod check;
    mod gather;
    mod group_relay;
    mod publish;
    mod publishing;
    mod relays;
    mod support;
    mod tracker;
}
