//! The messages of a chat.

use crate::native::Untranslatable;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::HashMap};

/// What a picture's URL may begin with: Ollama takes these and fetches nothing.
const IMAGE_PREFIXES: [&str; 5] = [
    "data:;base64,",
    "data:image/jpeg;base64,",
    "data:image/jpg;base64,",
    "data:image/png;base64,",
    "data:image/webp;base64,",
];

#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    role: &'a RawValue,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tool_call_id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    arguments: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    image_url: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ImageUrl {
    url: String,
}

#[derive(Serialize)]
pub(super) struct NativeMessage<'a> {
    role: &'a RawValue,
    content: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<NativeCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Text<'a> {
    Given(&'a RawValue),
    Empty(&'static str),
}

#[derive(Serialize)]
struct NativeCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    function: NativeFunction<'a>,
}

#[derive(Serialize)]
struct NativeFunction<'a> {
    name: &'a str,
    arguments: &'a RawValue,
}

/// The messages of a chat, or why they cannot be put to Ollama.
pub(super) fn messages<'a>(asked: &'a [Message<'a>]) -> Result<Vec<NativeMessage<'a>>, Untranslatable> {
    if asked.is_empty() {
        return Err(Untranslatable("there are no messages".into()));
    }
    let calls = asked.iter().flat_map(|message| message.tool_calls.iter().flatten());
    let names: HashMap<&str, &str> =
        calls.filter_map(|call| Some((call.id.as_deref()?, call.function.name.as_ref()))).collect();
    let mut native = Vec::with_capacity(asked.len());
    for message in asked {
        let from = native.len();
        match message.content.map(|content| (content, content.get().as_bytes().first())) {
            Some((text, Some(b'"'))) => native.push(said(message, Text::Given(text))),
            Some((list, Some(b'['))) => parts(message, list, &mut native)?,
            None if message.tool_calls.is_some() => native.push(said(message, Text::Empty(""))),
            _ => return Err(Untranslatable("a message has no content".into())),
        }
        // A message of parts became several: what goes with it stands in the last.
        if let Some(last) = native[from..].last_mut() {
            last.thinking = message.reasoning;
            last.tool_calls = message.tool_calls.iter().flatten().map(call).collect::<Result<_, _>>()?;
            if serde_json::from_str::<Cow<'_, str>>(message.role.get())?.eq_ignore_ascii_case("tool") {
                let by_call = message.tool_call_id.as_deref().and_then(|id| names.get(id).copied());
                last.tool_name = message.name.as_deref().filter(|name| !name.is_empty()).or(by_call);
                last.tool_call_id = message.tool_call_id.as_deref();
            }
        }
    }
    Ok(native)
}

fn said<'a>(message: &Message<'a>, content: Text<'a>) -> NativeMessage<'a> {
    NativeMessage {
        role: message.role,
        content,
        thinking: None,
        images: Vec::new(),
        tool_calls: Vec::new(),
        tool_name: None,
        tool_call_id: None,
    }
}

/// A message for each part, as Ollama has it.
fn parts<'a>(
    message: &Message<'a>,
    list: &'a RawValue,
    native: &mut Vec<NativeMessage<'a>>,
) -> Result<(), Untranslatable> {
    for part in serde_json::from_str::<Vec<Part<'a>>>(list.get())? {
        native.push(match (part.r#type.as_ref(), part.text, part.image_url) {
            ("text", Some(text), _) if text.get().starts_with('"') => said(message, Text::Given(text)),
            ("image_url", _, Some(url)) => {
                NativeMessage { images: vec![image(url)?], ..said(message, Text::Empty("")) }
            }
            (other, ..) => {
                return Err(Untranslatable(format!("a part of the type `{other}` cannot be put to Ollama")));
            }
        });
    }
    Ok(())
}

fn image(url: &RawValue) -> Result<String, Untranslatable> {
    let url = match url.get().starts_with('"') {
        true => serde_json::from_str(url.get())?,
        false => serde_json::from_str::<ImageUrl>(url.get())?.url,
    };
    let data = IMAGE_PREFIXES.iter().find_map(|prefix| url.strip_prefix(prefix));
    data.map(str::to_owned)
        .ok_or_else(|| Untranslatable("a picture is not a data URL of JPEG, PNG or WebP".into()))
}

fn call<'a>(call: &'a Call<'a>) -> Result<NativeCall<'a>, Untranslatable> {
    let arguments: &RawValue = serde_json::from_str(&call.function.arguments)?;
    if !arguments.get().starts_with('{') {
        return Err(Untranslatable("the arguments of a tool call are not an object".into()));
    }
    let function = NativeFunction { name: &call.function.name, arguments };
    Ok(NativeCall { id: call.id.as_deref(), function })
}
