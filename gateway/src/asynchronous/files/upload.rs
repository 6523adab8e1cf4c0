//! `POST /v1/files`: a form, from the socket to the disk in constant memory.

use crate::{
    admit,
    asynchronous::{
        answer::object_or_early,
        multipart::{Decoder, PartHead, Piece},
        refusal,
    },
    clock,
    downstream::{Downstream, Gone},
    failure::Failure,
    node::Node,
};
use std::time::Duration;
use tokio::time::Instant;
use work::files::{File, NewFile, Purpose, Upload};

/// An upload must be complete by then: none holds one of the places for ever.
const UPLOAD_DEADLINE: Duration = Duration::from_secs(4 * 60 * 60);

/// What a form may have besides the file: boundaries, headers, fields.
const FORM_BYTES_MAX: u64 = 64 * 1024;

/// A longer field that is no file is refused.
const FIELD_BYTES_MAX: usize = 1024;

/// The file's name where the form has none.
const UNNAMED: &str = "upload";

const FORM: &str = "multipart/form-data";

/// Takes a file in. A form that is cut off or refused leaves nothing behind.
pub(super) async fn serve(node: &Node, down: &mut Downstream) -> Result<(), Gone> {
    let taken = take(node, down).await;
    object_or_early(down, taken).await
}

async fn take(node: &Node, down: &mut Downstream) -> Result<File, Failure> {
    let max = node.config().files.max;
    if !admit::is_media_type(down, FORM) {
        return Err(Failure::UnsupportedMediaType { expected: FORM });
    }
    if admit::announced_bytes(down).is_some_and(|bytes| bytes > max.saturating_add(FORM_BYTES_MAX)) {
        return Err(Failure::FileTooLarge { max });
    }
    let mut decoder = Decoder::new(down.header("content-type").unwrap_or_default()).map_err(refusal::form)?;
    let mut form = Form { node, max, fields: Fields::default(), file: None, part: Part::Ignored };
    let deadline = Instant::now() + UPLOAD_DEADLINE;
    let keepalive = admit::say_continue(down).await?;
    let mut bytes: u64 = 0;
    while let Some(chunk) = admit::next_chunk(down, deadline).await? {
        bytes += chunk.len() as u64;
        if bytes > max.saturating_add(FORM_BYTES_MAX) {
            return Err(Failure::FileTooLarge { max });
        }
        decoder.push(&chunk);
        while let Some(piece) = decoder.next_piece().map_err(refusal::form)? {
            form.take(piece).await?;
        }
    }
    down.session.set_keepalive(keepalive);
    decoder.finish().map_err(refusal::form)?;
    form.finish().await
}

/// A form as far as it has come.
struct Form<'n> {
    node: &'n Node,
    /// Bytes of a file.
    max: u64,
    fields: Fields,
    file: Option<(String, Upload)>,
    part: Part,
}

/// The part that is being read.
enum Part {
    File,
    Field {
        name: String,
        value: Vec<u8>,
    },
    /// One that we do not know.
    Ignored,
}

/// What a form says of the file, before or after it.
#[derive(Debug, Default)]
struct Fields {
    purpose: Option<Purpose>,
    anchor: Option<String>,
    seconds: Option<u64>,
}

impl Form<'_> {
    async fn take(&mut self, piece: Piece) -> Result<(), Failure> {
        match piece {
            Piece::Part(head) => self.begin(head).await,
            Piece::Data(data) => match (&mut self.part, &mut self.file) {
                (Part::File, Some((_, upload))) => upload.write(&data).await.map_err(refusal::upload),
                (Part::Field { name, value }, _) => {
                    value.extend_from_slice(&data);
                    let long = || Failure::invalid_value(name, format!("`{name}` is too long"));
                    if value.len() > FIELD_BYTES_MAX { Err(long()) } else { Ok(()) }
                }
                _ => Ok(()),
            },
            Piece::PartEnd => match std::mem::replace(&mut self.part, Part::Ignored) {
                Part::Field { name, value } => self.fields.set(&name, &value),
                Part::File | Part::Ignored => Ok(()),
            },
        }
    }

    async fn begin(&mut self, head: PartHead) -> Result<(), Failure> {
        self.part = match head.name.as_str() {
            "file" if self.file.is_some() => {
                return Err(Failure::invalid_value("file", "send one file at a time"));
            }
            "file" => {
                let name = head.filename.unwrap_or_else(|| UNNAMED.to_owned());
                let new = self.fields.new_file(name.clone());
                let upload = self.node.work.files().upload(new, self.max).await;
                self.file = Some((name, upload.map_err(refusal::upload)?));
                Part::File
            }
            name if Fields::KNOWN.contains(&name) => Part::Field { name: head.name, value: Vec::new() },
            _ => Part::Ignored,
        };
        Ok(())
    }

    async fn finish(self) -> Result<File, Failure> {
        let missing = |what: &str| Failure::invalid_value(what, format!("the form has no `{what}`"));
        let (name, mut upload) = self.file.ok_or_else(|| missing("file"))?;
        self.fields.check()?;
        if self.fields.purpose.is_none() {
            return Err(missing("purpose"));
        }
        upload.amend(self.fields.new_file(name)).map_err(refusal::upload)?;
        upload.finish(clock::now()).await.map_err(refusal::upload)
    }
}

impl Fields {
    const KNOWN: [&str; 3] = ["purpose", "expires_after[anchor]", "expires_after[seconds]"];

    fn set(&mut self, name: &str, value: &[u8]) -> Result<(), Failure> {
        let text = String::from_utf8_lossy(value);
        match name {
            "purpose" => self.purpose = Some(super::purpose(&text)?),
            "expires_after[anchor]" => self.anchor = Some(text.into_owned()),
            _ => {
                let message = "`expires_after[seconds]` is a whole number";
                let seconds = text.trim().parse();
                self.seconds = Some(seconds.map_err(|_| Failure::invalid_value("expires_after", message))?);
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Failure> {
        let message = "`expires_after` has an `anchor`, which is `created_at`, and `seconds`";
        match (self.anchor.as_deref(), self.seconds) {
            (None, None) | (Some("created_at"), Some(_)) => Ok(()),
            _ => Err(Failure::invalid_value("expires_after", message)),
        }
    }

    /// The file as far as it is known. Until its purpose is, it is checked as if it were for a batch.
    fn new_file(&self, name: String) -> NewFile {
        let purpose = self.purpose.unwrap_or(Purpose::Batch);
        NewFile { name, purpose, expires_after_seconds: self.seconds }
    }
}
