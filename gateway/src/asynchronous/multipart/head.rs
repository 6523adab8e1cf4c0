//! The header of a part: what the part is called, and the file in it.

/// What is said of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartHead {
    /// The field.
    pub name: String,
    /// What its tool calls the file, where it is one. Data, and never a path.
    pub filename: Option<String>,
}

impl PartHead {
    /// Of the lines before a part's blank line. `None` if they do not name the field, or are no text.
    pub(super) fn parse(lines: &[u8]) -> Option<Self> {
        let lines = std::str::from_utf8(lines).ok()?;
        let disposition = lines.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
        })?;
        let kind = disposition.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("form-data") {
            return None;
        }
        let name = parameter(disposition, "name")?;
        Some(Self { name, filename: parameter(disposition, "filename") })
    }
}

/// A parameter of a header's value: `; name=token` or `; name="text"`, in which `\"` and `\\` stand for
/// themselves without the slash.
pub(super) fn parameter(value: &str, wanted: &str) -> Option<String> {
    let (_, mut rest) = value.split_once(';')?;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (text, after) = parameter_value(after.trim_start())?;
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(text);
        }
        (_, rest) = after.split_once(';')?;
    }
}

/// A value, and what follows it.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        let (token, rest) = text.split_at(end);
        return Some((token.trim_end().to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            // Some browsers write paths with slashes of this kind, unescaped.
            '\\' if quoted[at + 1..].starts_with(['"', '\\']) => value.extend(chars.next().map(|(_, c)| c)),
            _ => value.push(char),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &str) -> Option<(String, Option<String>)> {
        PartHead::parse(lines.as_bytes()).map(|head| (head.name, head.filename))
    }

    #[test]
    fn names_are_read_as_the_usual_tools_write_them() {
        let curl = "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\".jsonl\"\r\nContent-Type: x";
        assert_eq!(head(curl), Some(("file".into(), Some("a \"b\".jsonl".into()))));
        let bare =
            "\r\ncontent-type: text/plain\r\ncontent-disposition:form-data;filename=x.jsonl ; name=file";
        assert_eq!(head(bare), Some(("file".into(), Some("x.jsonl".into()))));
        let brackets = "\r\nContent-Disposition: form-data; name=\"expires_after[seconds]\"";
        assert_eq!(head(brackets), Some(("expires_after[seconds]".into(), None)));
        let tricky = "\r\nContent-Disposition: form-data; filename=\"; name=evil\"; name=\"file\"";
        assert_eq!(head(tricky), Some(("file".into(), Some("; name=evil".into()))));
        let windows = "\r\nContent-Disposition: form-data; name=file; filename=\"C:\\dir\\x\"";
        assert_eq!(head(windows), Some(("file".into(), Some("C:\\dir\\x".into()))));
    }

    #[test]
    fn a_part_without_a_name_is_none() {
        for bad in [
            "",
            "\r\nContent-Type: x",
            "\r\nContent-Disposition: form-data",
            "\r\nContent-Disposition: attachment; name=\"file\"",
            "\r\nContent-Disposition: form-data; name=\"file",
            "\r\nContent-Disposition: form-data; filename=\"x\"",
        ] {
            assert_eq!(head(bad), None, "{bad:?}");
        }
    }
}
