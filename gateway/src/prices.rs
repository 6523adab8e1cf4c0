//! What this node's worker charges for what it lends. Pure.

use crate::inventory::Inventory;
use config::Credit;
use protocol::{ModelName, Price};
use std::collections::BTreeMap;

/// The price of a model: what its owner says for this name, else for another name of the same model, else
/// the common one. A copy under a new name (`ollama cp`) costs what the original costs.
pub fn of(credit: &Credit, engine: &Inventory, model: &ModelName) -> Price {
    let priced = || credit.prices.iter().filter_map(|(name, price)| Some((name.parse().ok()?, *price)));
    let digest = |name: &ModelName| engine.model(name).and_then(|model| model.digest);
    credit.price(model).unwrap_or_else(|| {
        let ours = digest(model);
        let twins = priced().filter(|(name, _)| ours.is_some() && digest(name) == ours);
        // Of several, the dearest: nobody undersells its owner by a name.
        twins.map(|(_, price)| price).max_by_key(|price| (price.output, price.input)).unwrap_or(Price::COMMON)
    })
}

/// Those of `models` that do not cost the common price.
pub fn uncommon<'m>(
    credit: &Credit,
    engine: &Inventory,
    models: impl IntoIterator<Item = &'m ModelName>,
) -> BTreeMap<ModelName, Price> {
    let priced = models.into_iter().map(|model| (model.clone(), of(credit, engine, model)));
    priced.filter(|(_, price)| *price != Price::COMMON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Model;

    const DEAR: Price = Price { input: 2000, output: 6000 };

    fn name(text: &str) -> ModelName {
        text.parse().unwrap()
    }

    fn engine(models: &[(&str, u8)]) -> Inventory {
        let model =
            |(text, digest): &(&str, u8)| Model { digest: Some([*digest; 32]), ..Model::named(name(text)) };
        Inventory::answered(models.iter().map(model).collect())
    }

    #[test]
    fn a_copy_under_another_name_costs_what_the_original_costs() {
        let mut credit = Credit {
            newcomer_allowance: 0,
            newcomer_pool_per_day: 0,
            anonymous: 0,
            trust_requester_header: false,
            prices: [("big:70b".to_owned(), DEAR)].into(),
        };
        let engine = engine(&[("big:70b", 1), ("copy", 1), ("small:8b", 2)]);
        assert_eq!(
            ["big:70b", "copy", "small:8b", "gone"].map(|text| of(&credit, &engine, &name(text))),
            [DEAR, DEAR, Price::COMMON, Price::COMMON]
        );
        credit.prices.insert("copy".to_owned(), Price::COMMON);
        assert_eq!(
            of(&credit, &engine, &name("copy:latest")),
            Price::COMMON,
            "its owner's word on that name"
        );
        let all = [name("big:70b"), name("copy"), name("small:8b")];
        assert_eq!(uncommon(&credit, &engine, &all), [(name("big:70b"), DEAR)].into());
    }
}
