//! How fast this machine's engine answers, measured model by model: what an announcement says of it.

use parking_lot::Mutex;
use protocol::ModelName;
use std::{collections::BTreeMap, time::Duration};

/// So many models are measured; a machine has fewer.
const MODELS_MAX: usize = 256;

/// A shorter answer says more about the prompt than about the speed.
const TOKENS_MIN: u64 = 16;

/// The weight of the newest measurement.
const NEWEST: f64 = 0.2;

/// Output tokens per second of each model, moving averages.
#[derive(Debug, Default)]
pub struct Speeds(Mutex<BTreeMap<ModelName, f64>>);

impl Speeds {
    /// The engine made so many tokens in this time, the reading of the prompt included.
    pub fn measured(&self, model: &ModelName, output_tokens: u64, took: Duration) {
        if output_tokens < TOKENS_MIN || took.is_zero() {
            return;
        }
        let speed = output_tokens as f64 / took.as_secs_f64();
        let mut speeds = self.0.lock();
        if let Some(known) = speeds.get_mut(model) {
            *known += NEWEST * (speed - *known);
        } else if speeds.len() < MODELS_MAX {
            speeds.insert(model.clone(), speed);
        }
    }

    /// Output tokens per second of one.
    pub fn of(&self, model: &ModelName) -> Option<f64> {
        self.0.lock().get(model).copied()
    }

    /// All of them, to a tenth of a token: finer would be noise.
    pub fn all(&self) -> BTreeMap<ModelName, f64> {
        self.0.lock().iter().map(|(model, speed)| (model.clone(), (speed * 10.0).round() / 10.0)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_follows_what_is_measured_and_short_answers_say_nothing() {
        let speeds = Speeds::default();
        let model: ModelName = "llama3.1:8b".parse().unwrap();
        speeds.measured(&model, 3, Duration::from_secs(1));
        assert!(speeds.all().is_empty());
        speeds.measured(&model, 100, Duration::from_secs(3));
        assert_eq!(speeds.all()[&model], 33.3);
        for _ in 0..50 {
            speeds.measured(&model, 100, Duration::from_secs(1));
        }
        assert_eq!(speeds.all()[&model], 100.0);
    }
}
