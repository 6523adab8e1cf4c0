use super::*;
use proptest::prelude::*;

const TYPE: &str = "multipart/form-data; boundary=\"x-y\"";

/// What a form says, its data joined.
fn read(chunks: &[&[u8]]) -> Result<Vec<(PartHead, Vec<u8>)>, BadForm> {
    let mut decoder = Decoder::new(TYPE)?;
    let mut parts: Vec<(PartHead, Vec<u8>)> = Vec::new();
    let mut open = false;
    for chunk in chunks {
        decoder.push(chunk);
        while let Some(piece) = decoder.next_piece()? {
            match piece {
                Piece::Part(head) => {
                    assert!(!std::mem::replace(&mut open, true));
                    parts.push((head, Vec::new()));
                }
                Piece::Data(data) => {
                    assert!(open && !data.is_empty());
                    parts.last_mut().unwrap().1.extend_from_slice(&data);
                }
                Piece::PartEnd => assert!(std::mem::replace(&mut open, false)),
            }
        }
        assert!(decoder.buffer.len() <= HEAD_BYTES_MAX + chunk.len(), "held: {}", decoder.buffer.len());
    }
    decoder.finish().map(|()| parts)
}

fn part(name: &str, data: &[u8]) -> Vec<u8> {
    let head = format!("--x-y\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
    [head.as_bytes(), data, b"\r\n"].concat()
}

fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let parts: Vec<u8> = parts.iter().flat_map(|(name, data)| part(name, data)).collect();
    [parts.as_slice(), b"--x-y--\r\n"].concat()
}

#[test]
fn parts_come_in_their_order_with_preamble_and_epilogue_left_out() {
    let body = form(&[("purpose", b"batch"), ("empty", b""), ("file", b"\r\n--x-\r\n\r\n--\r\n")]);
    let body = [b"preamble\r\n".as_slice(), &body, b"epilogue --x-y"].concat();
    let parts = read(&[&body]).unwrap();
    let said: Vec<_> = parts.iter().map(|(head, data)| (head.name.as_str(), data.as_slice())).collect();
    assert_eq!(said, [("purpose", &b"batch"[..]), ("empty", b""), ("file", b"\r\n--x-\r\n\r\n--\r\n")]);
}

#[test]
fn what_is_no_form_is_said_so() {
    assert_eq!(read(&[b""]), Err(BadForm::Incomplete));
    assert_eq!(read(&[b"no boundary at all"]), Err(BadForm::Incomplete));
    assert_eq!(read(&[&part("file", b"cut off")]), Err(BadForm::Incomplete));
    assert_eq!(read(&[b"--x-yz\r\n\r\n\r\n--x-y--"]), Err(BadForm::Malformed));
    assert_eq!(read(&[b"--x-y\r\n\r\nno name\r\n--x-y--"]), Err(BadForm::Malformed));
    assert_eq!(read(&[&part("x", b"").repeat(PARTS_MAX + 1)]), Err(BadForm::TooManyParts));
    for none in ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\"x"]
    {
        assert_eq!(Decoder::new(none).err(), Some(BadForm::NoBoundary), "{none}");
    }
}

#[test]
fn a_header_without_end_is_given_up() {
    let chunk = [b'a'; 1000];
    let mut chunks: Vec<&[u8]> = vec![b"--x-y\r\nContent-Disposition: form-data; name="];
    chunks.extend(std::iter::repeat_n(chunk.as_slice(), 20));
    assert_eq!(read(&chunks), Err(BadForm::Malformed));
    assert_eq!(read(&[b"--x-y", &[b' '; 500], b"\r\n"]), Err(BadForm::Malformed));
}

proptest! {
    /// Data is drawn from what boundaries are made of, so that almost-boundaries are frequent.
    #[test]
    fn cutting_a_form_anywhere_changes_nothing(
        data in proptest::collection::vec("[-xy\r\n ]{0,40}", 1..4),
        cuts in proptest::collection::vec(0usize..400, 0..8),
    ) {
        let data: Vec<_> = data.iter().map(|text| text.replace("\r\n--x-y", "")).collect();
        let body = form(&data.iter().map(|text| ("f", text.as_bytes())).collect::<Vec<_>>());
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut % body.len()).chain([0, body.len()]).collect();
        ends.sort_unstable();
        let chunks: Vec<&[u8]> = ends.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect();
        let read = read(&chunks).unwrap();
        prop_assert_eq!(read.into_iter().map(|(_, data)| data).collect::<Vec<_>>(),
            data.iter().map(|text| text.clone().into_bytes()).collect::<Vec<_>>());
    }

    #[test]
    fn no_bytes_are_more_than_refused(bytes: Vec<u8>) {
        let _ = read(&[b"--x-y\r\n", &bytes]);
    }
}
