//! What a file is for, in OpenAI's words.

use serde::{Deserialize, Serialize};

/// What a file is for. Only `batch` means something here; the others are kept and given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The input of a batch.
    Batch,
    /// What a batch wrote. Cannot be uploaded.
    BatchOutput,
    /// For OpenAI's assistants.
    Assistants,
    /// For fine-tuning.
    #[serde(rename = "fine-tune")]
    FineTune,
    /// Images for fine-tuning.
    Vision,
    /// Anything.
    UserData,
    /// For evaluations.
    Evals,
}

impl Purpose {
    const ALL: [Purpose; 7] = [
        Purpose::Batch,
        Purpose::BatchOutput,
        Purpose::Assistants,
        Purpose::FineTune,
        Purpose::Vision,
        Purpose::UserData,
        Purpose::Evals,
    ];

    /// As it stands in a form and in a query.
    pub const fn as_str(self) -> &'static str {
        match self {
            Purpose::Batch => "batch",
            Purpose::BatchOutput => "batch_output",
            Purpose::Assistants => "assistants",
            Purpose::FineTune => "fine-tune",
            Purpose::Vision => "vision",
            Purpose::UserData => "user_data",
            Purpose::Evals => "evals",
        }
    }

    /// The reverse of [`Purpose::as_str`].
    pub fn from_name(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text)
    }

    /// Whether a tool may upload such a file.
    pub const fn can_be_uploaded(self) -> bool {
        !matches!(self, Purpose::BatchOutput)
    }

    pub(crate) const fn code(self) -> i64 {
        match self {
            Purpose::Batch => 1,
            Purpose::BatchOutput => 2,
            Purpose::Assistants => 3,
            Purpose::FineTune => 4,
            Purpose::Vision => 5,
            Purpose::UserData => 6,
            Purpose::Evals => 7,
        }
    }

    pub(crate) fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.code() == code)
    }
}
