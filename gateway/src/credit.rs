//! Who may spend what at this worker (SPEC section 4): an order is checked and its credits are reserved
//! before the engine is asked.

use crate::{
    clock,
    downstream::Downstream,
    fail_point::{self, FailPoint},
    failure::Failure,
    node::Node,
    prices,
};
use config::{Config, Peer};
use ledger::{AdmitError, Line, Refusal, Reservation, Unordered};
use protocol::{
    Credits, NodeId, Order, Price, Requester, Signed, Usage, Verified, canonical::sha256, carriers, order,
};
use upstream_ollama::RequestView;

/// A request without an order that asks for less than this is refused rather than cut short.
const WORTHWHILE_TOKENS: u64 = 256;

/// What was admitted: who owes it, at what price, and how much is held for it.
#[derive(Debug)]
pub struct Admitted {
    pub requester: Requester,
    /// With its hash; `None` for a request without one. Boxed: it is kept as long as an answer streams.
    pub order: Option<Box<(Verified<Order>, [u8; 32])>>,
    pub price: Price,
    /// The longest answer that is paid for.
    pub output_max: u64,
    pub reservation: Reservation,
}

/// A request as credit sees it.
pub struct Asked<'a> {
    pub view: &'a RequestView,
    pub body: &'a [u8],
    /// Embeddings make no tokens.
    pub makes_text: bool,
    /// Of the model, where the engine says it.
    pub digest: Option<[u8; 32]>,
}

/// Admits a request by its order, or by what its owner allows without one.
pub async fn admit(node: &Node, down: &Downstream, asked: &Asked<'_>) -> Result<Admitted, Failure> {
    // What jobs hold that came before is held again by then.
    node.lending.taken_up(&node.stopping).await;
    let config = node.config();
    let price = prices::of(&config.credit, &node.upstreams.local().inventory(), &asked.view.model);
    match down.header(carriers::ORDER_HEADER) {
        Some(header) => {
            let order = read_order(node, header, asked)?;
            named_alike(down, &order)?;
            by_order(node, &config, asked, order, price).await
        }
        None => unordered(node, &config, named(down)?, asked, price).await,
    }
}

/// The order in a header, as its requester signed it; whether it is for this request is not asked.
pub fn signed_order(header: &str) -> Result<Verified<Order>, Failure> {
    let signed = carriers::order_from_header(header.as_bytes());
    signed.and_then(Signed::verify).map_err(|error| refused_order(error.into()))
}

fn refused_order(error: order::OrderRefused) -> Failure {
    Failure::OrderRefused { param: error.param(), message: error.to_string() }
}

fn read_order(node: &Node, header: &str, asked: &Asked<'_>) -> Result<Verified<Order>, Failure> {
    let order = signed_order(header)?;
    let now = clock::now();
    order.check(now, &node.me, &sha256(asked.body), &asked.view.model).map_err(refused_order)?;
    Ok(order)
}

/// The header of version 1 proves nothing; where it says somebody else, one of the two is a mistake.
fn named_alike(down: &Downstream, order: &Order) -> Result<(), Failure> {
    let named = down.header(carriers::REQUESTER_HEADER);
    if named.is_none_or(|named| named == order.requester.to_string()) {
        return Ok(());
    }
    let message = "x-lobstah-requester names another node than the order".to_owned();
    Err(Failure::OrderRefused { param: "requesterPubkey", message })
}

async fn by_order(
    node: &Node,
    config: &Config,
    asked: &Asked<'_>,
    order: Verified<Order>,
    price: Price,
) -> Result<Admitted, Failure> {
    quoted(&order, price, asked.digest)?;
    let requester = Requester::Node(order.requester);
    let output_max = paid_for(asked, &order, price)?;
    let line = line(node, config, order.requester);
    let reservation = node.ledger.admit(&order, line, clock::now()).await;
    let reservation = reservation.map_err(|error| refused(node, error, requester, order.max_credits))?;
    fail_point::reached(FailPoint::OrderAdmitted);
    let sha256 = order.signed().sha256();
    Ok(Admitted { requester, order: Some(Box::new((order, sha256))), price, output_max, reservation })
}

/// The longest answer that the order pays for. Who orders less input than its body can hold would have its
/// prompt read for nothing.
pub fn paid_for(asked: &Asked<'_>, order: &Order, price: Price) -> Result<u64, Failure> {
    let body_bytes = asked.body.len() as u64;
    let input_tokens = order::max_input_tokens(body_bytes);
    // The requester's own bound has room for the engine's template, which is not insisted on.
    if order.max_input_tokens < body_bytes.div_ceil(3) {
        let message = format!("order {input_tokens} input tokens for a body of this length");
        return Err(Failure::OrderRefused { param: "maxInputTokens", message });
    }
    let input_tokens = input_tokens.min(order.max_input_tokens);
    let bound = if asked.makes_text {
        order.output_bound(asked.view.max_output, price, input_tokens)
    } else {
        price.output_within(order.max_credits, input_tokens).map(|_| 0)
    };
    bound.ok_or_else(|| {
        let usage = Usage { input_tokens, output_tokens: asked.makes_text.into() };
        Failure::InsufficientCredit {
            available: order.max_credits.get(),
            requester: Requester::Node(order.requester),
            needed: price.charge(usage).get(),
        }
    })
}

/// A worker that would charge more, or run something else, than the requester was told refuses.
fn quoted(order: &Order, price: Price, digest: Option<[u8; 32]>) -> Result<(), Failure> {
    if order.price.is_some_and(|quoted| quoted.input < price.input || quoted.output < price.output) {
        let message = format!(
            "{} now costs {} and {} credits per 1000 tokens; order at that price",
            order.model, price.input, price.output
        );
        return Err(Failure::QuoteChanged { message });
    }
    if let (Some(quoted), Some(runs)) = (order.model_digest, digest)
        && quoted != runs
    {
        let message =
            format!("{} is another model here than the one quoted; ask for the capacity again", order.model);
        return Err(Failure::QuoteChanged { message });
    }
    Ok(())
}

/// Whom the header of version 1 names.
fn named(down: &Downstream) -> Result<Requester, Failure> {
    let named = down.header(carriers::REQUESTER_HEADER).map(|text| {
        text.parse::<Requester>().map_err(|_| {
            Failure::invalid_value(carriers::REQUESTER_HEADER, "x-lobstah-requester is not a node's key")
        })
    });
    Ok(named.transpose()?.unwrap_or(Requester::Anonymous))
}

/// A version 1 gateway, or a plain tool.
pub async fn unordered(
    node: &Node,
    config: &Config,
    named: Requester,
    asked: &Asked<'_>,
    price: Price,
) -> Result<Admitted, Failure> {
    let (who, requester) = believed(config, named);
    let input = order::max_input_tokens(asked.body.len() as u64);
    let wanted = if asked.makes_text {
        asked.view.max_output.unwrap_or(config.gateway.max_output_tokens).max(1)
    } else {
        0
    };
    let cost = |output| price.charge(Usage { input_tokens: input, output_tokens: output });
    match node.ledger.admit_unordered(who, cost(wanted), clock::now()).await {
        Ok(reservation) => Ok(Admitted { requester, order: None, price, output_max: wanted, reservation }),
        Err(AdmitError::Refused(Refusal::Insufficient { available })) => {
            // Nobody agreed on a number here, so a shorter answer is better than none.
            let shorter = price.output_within(available, input).filter(|output| *output >= WORTHWHILE_TOKENS);
            let Some(output_max) = shorter.filter(|_| asked.view.max_output.is_none()) else {
                let needed = cost(wanted).get();
                return Err(Failure::InsufficientCredit { available: available.get(), requester, needed });
            };
            let reservation = node.ledger.admit_unordered(who, cost(output_max), clock::now()).await;
            let reservation =
                reservation.map_err(|error| refused(node, error, requester, cost(output_max)))?;
            Ok(Admitted { requester, order: None, price, output_max, reservation })
        }
        Err(error) => Err(refused(node, error, requester, cost(wanted))),
    }
}

/// How far a name without a signature is believed.
pub fn believed(config: &Config, named: Requester) -> (Unordered, Requester) {
    let credit = &config.credit;
    let anonymous = Unordered::Anonymous { per_day: Credits::saturating(credit.anonymous) };
    let Requester::Node(node) = named else { return (anonymous, Requester::Anonymous) };
    if !credit.trust_requester_header {
        return (anonymous, Requester::Anonymous);
    }
    let vouched = config.peers.iter().find(|peer| peer.pubkey == node && peer.version1);
    let who = match vouched {
        Some(peer) => Unordered::Vouched { node, limit: Credits::saturating(peer.credit_limit) },
        None => Unordered::Believed {
            node,
            allowance: Credits::saturating(credit.newcomer_allowance),
            pool_per_day: Credits::saturating(credit.newcomer_pool_per_day),
        },
    };
    (who, named)
}

/// What this node lends another, by the settings; the owner's `credit lend` stands above it.
pub fn line(node: &Node, config: &Config, who: NodeId) -> Line {
    line_of(config, who, || node.upstreams.is_friend(who))
}

/// The same, where it is known in another way who is a friend: listed with an address.
pub fn line_of(config: &Config, who: NodeId, is_friend: impl FnOnce() -> bool) -> Line {
    if let Some(peer) = config.peers.iter().find(|peer| peer.pubkey == who) {
        return Line::Friend { limit: Credits::saturating(peer.credit_limit) };
    }
    if is_friend() {
        return Line::Friend { limit: Credits::saturating(Peer::CREDIT_LIMIT) };
    }
    Line::Newcomer {
        allowance: Credits::saturating(config.credit.newcomer_allowance),
        pool_per_day: Credits::saturating(config.credit.newcomer_pool_per_day),
    }
}

pub fn refused(node: &Node, error: AdmitError, requester: Requester, needed: Credits) -> Failure {
    let insufficient = |available| Failure::InsufficientCredit { available, requester, needed: needed.get() };
    match error {
        AdmitError::AlreadyTaken | AdmitError::NeverTaken | AdmitError::NotReleased => Failure::OrderUsed,
        AdmitError::Refused(Refusal::Insufficient { available }) => insufficient(available.get()),
        AdmitError::Refused(Refusal::Blocked) => insufficient(0),
        AdmitError::Refused(Refusal::AckRequired { unacknowledged, allowed }) => {
            Failure::AckRequired { unacknowledged, allowed }
        }
        AdmitError::AnotherWorker => {
            Failure::OrderRefused { param: "workerPubkey", message: error.to_string() }
        }
        AdmitError::TooLong { .. } => Failure::OrderRefused { param: "order", message: error.to_string() },
        AdmitError::Lock(_) | AdmitError::Unwritten(_) => node.cannot_write(&error.to_string()),
    }
}
