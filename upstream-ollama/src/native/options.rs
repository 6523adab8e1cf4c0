//! The options of a request that makes text, under Ollama's names.

use super::Untranslatable;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// OpenAI's defaults, which Ollama's own are not.
const TEMPERATURE: f64 = 1.0;
const TOP_P: f64 = 1.0;

/// As a tool names them.
#[derive(Deserialize)]
pub(super) struct Asked<'a> {
    #[serde(borrow)]
    max_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    seed: Option<&'a RawValue>,
    #[serde(borrow)]
    temperature: Option<&'a RawValue>,
    #[serde(borrow)]
    top_p: Option<&'a RawValue>,
    #[serde(borrow)]
    frequency_penalty: Option<&'a RawValue>,
    #[serde(borrow)]
    presence_penalty: Option<&'a RawValue>,
    #[serde(borrow)]
    stop: Option<&'a RawValue>,
}

/// As Ollama does.
#[derive(Serialize)]
pub(super) struct Options<'a> {
    num_ctx: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_predict: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<&'a RawValue>,
    temperature: Number<'a>,
    top_p: Number<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<Stop<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Number<'a> {
    Given(&'a RawValue),
    Default(f64),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Stop<'a> {
    List(&'a RawValue),
    One([&'a RawValue; 1]),
}

impl<'a> Asked<'a> {
    pub(super) fn options(&self, num_ctx: u64) -> Result<Options<'a>, Untranslatable> {
        let number =
            |given: Option<&'a RawValue>, default| given.map_or(Number::Default(default), Number::Given);
        let stop = self.stop.map(|stop| match stop.get().as_bytes().first() {
            Some(b'[') => Ok(Stop::List(stop)),
            Some(b'"') => Ok(Stop::One([stop])),
            _ => Err(Untranslatable("`stop` is neither a text nor a list of texts".into())),
        });
        Ok(Options {
            num_ctx,
            num_predict: self.max_tokens,
            seed: self.seed,
            temperature: number(self.temperature, TEMPERATURE),
            top_p: number(self.top_p, TOP_P),
            frequency_penalty: self.frequency_penalty,
            presence_penalty: self.presence_penalty,
            stop: stop.transpose()?,
        })
    }
}
