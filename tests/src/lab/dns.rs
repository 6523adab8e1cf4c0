//! A name server whose answers a story scripts (RFC 1035), for names that mean something else each time.

use crate::crew::{Task, spawn};
use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    sync::{Arc, Mutex},
};

/// More addresses do not fit into an answer of 512 bytes, nor does a story need them.
const ADDRESSES_MAX: usize = 8;

const HEADER_BYTES: usize = 12;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const NO_SUCH_NAME: u8 = 3;

/// Answers until it is dropped.
#[derive(Debug)]
pub struct Dns {
    lookups: Arc<Mutex<Lookups>>,
    _server: Task<()>,
}

/// How often a name was asked for, by the type of the question: one lookup asks once for each type.
type Lookups = HashMap<(String, u16), usize>;

/// Where `resolv.conf` sends everybody. On this thread's host.
pub(super) fn bind() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl Dns {
    pub(super) fn serve(
        socket: UdpSocket,
        script: impl Fn(&str, usize) -> Vec<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        let lookups: Arc<Mutex<Lookups>> = Arc::default();
        let counted = Arc::clone(&lookups);
        let socket = tokio::net::UdpSocket::from_std(socket).unwrap();
        let server = spawn(async move {
            let mut packet = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut packet).await {
                let Some(question) = Question::read(&packet[..length]) else { continue };
                let nth = count(&counted, &question);
                let addresses = script(&question.name, nth);
                let _ = socket.send_to(&question.answer(&addresses), from).await;
            }
        });
        Self { lookups, _server: server }
    }

    /// How often an IPv4 address was looked up for a name.
    pub fn lookups(&self, name: &str) -> usize {
        self.lookups.lock().unwrap().get(&(name.to_owned(), TYPE_A)).copied().unwrap_or(0)
    }
}

/// Counts a question; gives how often it came before.
fn count(lookups: &Mutex<Lookups>, question: &Question<'_>) -> usize {
    let mut lookups = lookups.lock().unwrap();
    let asked = lookups.entry((question.name.clone(), question.kind)).or_default();
    *asked += 1;
    *asked - 1
}

/// What is asked, and the bytes that it was asked in.
#[derive(Debug)]
struct Question<'p> {
    id: &'p [u8],
    /// As it came: name, type and class.
    bytes: &'p [u8],
    /// In lower case, without the dot at the end.
    name: String,
    kind: u16,
}

impl<'p> Question<'p> {
    /// `None` for what is no query with one question.
    fn read(packet: &'p [u8]) -> Option<Self> {
        let (header, rest) = packet.split_at_checked(HEADER_BYTES)?;
        let is_query = header[2] & 0x80 == 0;
        if !is_query || header[4..6] != [0, 1] {
            return None;
        }
        let mut labels: Vec<String> = Vec::new();
        let mut at = 0;
        loop {
            let length = usize::from(*rest.get(at)?);
            let label = rest.get(at + 1..at + 1 + length)?;
            at += 1 + length;
            if length == 0 {
                break;
            }
            labels.push(std::str::from_utf8(label).ok()?.to_ascii_lowercase());
        }
        let kind = u16::from_be_bytes(rest.get(at..at + 2)?.try_into().ok()?);
        Some(Self { id: &header[..2], bytes: rest.get(..at + 4)?, name: labels.join("."), kind })
    }

    /// The answer, of which nothing may be kept: its time to live is 0.
    fn answer(&self, addresses: &[IpAddr]) -> Vec<u8> {
        let fitting = addresses.iter().filter_map(|address| match (self.kind, address) {
            (TYPE_A, IpAddr::V4(v4)) => Some(v4.octets().to_vec()),
            (TYPE_AAAA, IpAddr::V6(v6)) => Some(v6.octets().to_vec()),
            _ => None,
        });
        let records: Vec<Vec<u8>> = fitting.take(ADDRESSES_MAX).collect();
        // A name that has addresses of the other kind only is no unknown name.
        let code = if addresses.is_empty() { NO_SUCH_NAME } else { 0 };
        // An authoritative response; recursion was desired and is available.
        let flags = [0x85, 0x80 | code];
        let counts = [0, 1, 0, records.len() as u8, 0, 0, 0, 0];
        let mut answer = [self.id, &flags, &counts, self.bytes].concat();
        for record in records {
            // The name again, as a pointer to the question's.
            answer.extend([0xc0, HEADER_BYTES as u8]);
            answer.extend(self.kind.to_be_bytes());
            // Class IN, no time to live, the length.
            answer.extend([0, 1, 0, 0, 0, 0, 0, record.len() as u8]);
            answer.extend(record);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &[u8] =
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06Friend\x07example\x00\x00\x01\x00\x01";

    #[test]
    fn a_question_is_read_and_answered() {
        let question = Question::read(QUERY).unwrap();
        assert_eq!((question.name.as_str(), question.kind), ("friend.example", TYPE_A));
        let answer = question.answer(&["203.0.113.7".parse().unwrap(), "::1".parse().unwrap()]);
        let head = b"\x12\x34\x85\x80\x00\x01\x00\x01\x00\x00\x00\x00";
        let record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\xcb\x00\x71\x07";
        assert_eq!(answer, [head, &QUERY[HEADER_BYTES..], record].concat());
    }

    #[test]
    fn a_name_without_addresses_is_unknown() {
        let answer = Question::read(QUERY).unwrap().answer(&[]);
        assert_eq!((answer[3] & 15, answer[7]), (NO_SUCH_NAME, 0));
        let answer = Question::read(QUERY).unwrap().answer(&["::1".parse().unwrap()]);
        assert_eq!((answer[3] & 15, answer[7]), (0, 0));
    }

    #[test]
    fn what_is_cut_off_anywhere_is_no_question() {
        for length in 0..QUERY.len() {
            assert!(Question::read(&QUERY[..length]).is_none(), "{length}");
        }
    }
}
