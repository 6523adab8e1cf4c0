//! Tokens that one exchange cost.

use serde::{Deserialize, Serialize};

/// Token counts as the engine reported them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// Tokens that were made, reasoning included.
    pub output_tokens: u64,
}

impl Usage {
    /// Input and output together; saturates instead of wrapping.
    pub const fn total(self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}
