//! What one model can do.

use crate::{EngineError, Ollama};
use protocol::ModelName;
use serde::Deserialize;
use serde_json::{Map, Value};

/// What `/api/show` tells of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Tokens of context that the model was trained for.
    pub context_length: Option<u64>,
    /// Tokens of context that its Modelfile sets, which Ollama uses in place of its default.
    pub num_ctx: Option<u64>,
    /// Such as `completion`, `tools`, `vision`, `embedding`.
    pub capabilities: Vec<String>,
    /// Whether its template knows the role `developer`; if not, such messages are lost.
    pub knows_developer_role: bool,
}

impl Ollama {
    pub async fn show(&self, model: &ModelName) -> Result<Details, EngineError> {
        let question = serde_json::json!({ "model": model.as_str() });
        match self.post::<Show>("/api/show", &question).await {
            Ok(show) => Ok(show.into()),
            Err(EngineError::Refused { status: 404, .. }) => {
                Err(EngineError::NoSuchModel { model: model.clone() })
            }
            Err(error) => Err(error),
        }
    }
}

#[derive(Deserialize)]
struct Show {
    template: Option<String>,
    parameters: Option<String>,
    model_info: Option<Map<String, Value>>,
    capabilities: Option<Vec<String>>,
}

impl From<Show> for Details {
    fn from(show: Show) -> Details {
        Details {
            context_length: show.model_info.as_ref().and_then(context_length),
            num_ctx: show.parameters.as_deref().and_then(num_ctx),
            capabilities: show.capabilities.unwrap_or_default(),
            knows_developer_role: show.template.is_some_and(|template| template.contains("developer")),
        }
    }
}

fn context_length(info: &Map<String, Value>) -> Option<u64> {
    let architecture = info.get("general.architecture")?.as_str()?;
    info.get(&format!("{architecture}.context_length"))?.as_u64()
}

/// The parameters are lines of a name, spaces, and a value.
fn num_ctx(parameters: &str) -> Option<u64> {
    parameters.lines().find_map(|line| {
        let (name, value) = line.trim().split_once(char::is_whitespace)?;
        (name == "num_ctx").then(|| value.trim().parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_found_where_ollama_puts_them() {
        let show: Show = serde_json::from_str(
            r#"{"parameters":"stop                           \"<|eot|>\"\nnum_ctx                        16384",
                "template":"{{ if eq .Role \"developer\" }}","capabilities":["completion","tools"],
                "model_info":{"general.architecture":"llama","llama.context_length":131072,"llama.rope.freq_base":500000.0,"tokenizer.ggml.tokens":null}}"#,
        )
        .unwrap();
        let expected = Details {
            context_length: Some(131_072),
            num_ctx: Some(16_384),
            capabilities: vec!["completion".to_owned(), "tools".to_owned()],
            knows_developer_role: true,
        };
        assert_eq!(Details::from(show), expected);
    }

    #[test]
    fn what_is_not_told_is_not_known() {
        let show: Show = serde_json::from_str(
            r#"{"parameters":"num_ctx_x 5\nnum_ctx","model_info":{"llama.context_length":1}}"#,
        )
        .unwrap();
        assert_eq!(Details::from(show), Details::default());
    }
}
