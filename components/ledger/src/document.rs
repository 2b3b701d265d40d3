//! The parts of the configuration document that the gate passes by: what the redirector, the worker and the ledger read
//! (`docs/config.md`).

#[cfg(feature = "schema")]
mod schema;

use alloc::collections::BTreeMap;

use alloc::string::String;
use alloc::vec::Vec;

#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::Deserialize;

use countersign_core::document::{Environment, Key, OpaqueToken, Secret, Unread, Whole};

#[cfg(feature = "schema")]
pub use schema::schema;

/// The document, as far as the tracker reads it.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct LedgerConfiguration {
    /// `production` or `sandbox`.
    pub environment: Environment,
    /// Name of what this document configures. Sealed secrets open in the document of their name only.
    pub name: Option<String>,
    /// Where clicks are sent on to, by the name in `/c/{name}`: 1 to 64 of `a-z`, `0-9`, `_` and `-`; at most 10,000
    /// (source §2).
    pub campaigns: Option<BTreeMap<String, Campaign>>,
    /// How clicks are redirected and logged (source §2).
    pub redirect: Option<Redirect>,
    /// How events become money (source §7, §8).
    pub ledger: Option<Ledger>,
    /// What personal data is kept, and for how long (source §9).
    pub privacy: Option<Privacy>,
    /// Who may call `/internal/…`. Default: nobody; in the sandbox the published token.
    pub admin: Option<Admin>,
    /// What is agreed with each partner.
    pub partners: Option<BTreeMap<String, Partner>>,
    /// What the gate reads.
    #[serde(rename = "*")]
    pub others: Unread,
}

/// What is agreed with a partner.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Partner {
    /// The commercial terms, by the date from which they hold; the oldest first, at most 64.
    pub contract: Option<Vec<Terms>>,
    /// What is kept of the partner's payloads (source §9). Default: everything.
    pub privacy: Option<Minimise>,
    /// What the gate reads.
    #[serde(rename = "*")]
    pub others: Unread,
}

/// Where the clicks of a campaign are sent on to (source §2).
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Campaign {
    /// The partner whose landing page it is, and whose postbacks its clicks will bring.
    pub partner: String,
    /// The landing page: an absolute `https:` URL (in the sandbox `http:` too) without a fragment, at most 2,048 characters.
    pub landing: String,
    /// The query parameter in which the operator expects the click id: 1 to 64 letters, digits, `.`, `_` and `-`. Default:
    /// `click_id`.
    pub parameter: Option<String>,
    /// How the click id is handed over. Default: `plain`.
    pub click_id: Option<CampaignClick>,
}

/// How a click id is handed to the operator (source §2).
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CampaignClick {
    /// As it is, `clk_…`: it says when the click happened.
    #[default]
    Plain,
    /// Encrypted, `cls_…`: it says nothing to anyone without the key.
    Sealed,
}

/// How clicks are redirected and logged (source §2).
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// What happens first. Default: `redirect_first`.
    pub durability: Option<Durability>,
    /// Name of the header in which the proxy in front puts the country. Default: none is read.
    pub geo_header: Option<String>,
}

/// Whether the user waits for the click to be durable.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// The redirect goes out at once; a click that cannot be stored then is counted as lost.
    #[default]
    RedirectFirst,
    /// The click is committed before the redirect. One that cannot be stored is redirected all the same, and counted as lost.
    ClickFirst,
}

/// How events become money (source §7, §8).
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// ISO 4217 code of the currency of reports. Default: `EUR`.
    pub report_currency: Option<String>,
    /// Seconds for which an event waits for its click to be known before it is posted as unattributed. Default: 60.
    pub unknown_click_seconds: Option<Whole<0, 604_800>>,
    /// Days for which a refund or chargeback waits for its deposit, and a reversed chargeback for its chargeback, before it becomes a dead letter. Default: 30.
    pub unknown_original_days: Option<Whole<1, 400>>,
    /// Days for which an event waits for its exchange rate before it becomes a dead letter. Default: 30.
    pub unknown_rate_days: Option<Whole<1, 400>>,
    /// How an event without a click id of ours is matched with a click (source §10). Default: not at all.
    pub matching: Option<Matching>,
}

/// How an event without a click id of ours is matched with a click (source §10).
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Matching {
    /// Least score, in thousandths, with which a click is taken. Default: 800.
    pub threshold_permille: Option<Whole<1, 1_000>>,
    /// Seconds before the event in which the click must have happened. Default: 86400.
    pub window_seconds: Option<Whole<1, 2_592_000>>,
}

/// What personal data is kept, and for how long (source §9).
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Privacy {
    /// The salt of hashed members. Required where a partner's `hash` names any.
    pub salt: Option<Salt>,
    /// How long each class of data is kept.
    pub retention: Option<Retention>,
}

/// The salt of hashed members: one secret, or several `keys`, of which the newest valid one hashes.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Salt {
    /// The name of the only salt, as of every secret.
    pub name: Option<String>,
    /// The only salt itself, encrypted: `cs-seal1_…`. Default: the host resolves the name.
    pub sealed: Option<String>,
    /// The salts, in place of `name`: 1 to 8. A value that is hashed with another salt is another pseudonym.
    pub keys: Option<Vec<Key>>,
}

impl Salt {
    /// The only salt.
    pub(crate) fn lone(&self) -> Option<Secret> {
        let sealed = self.sealed.clone();
        match &self.name {
            Some(name) => Some(Secret { name: name.clone(), sealed }),
            // Without a name nothing can be opened: the check of names says so.
            None => sealed.map(|sealed| Secret { name: String::new(), sealed: Some(sealed) }),
        }
    }

    /// Every salt.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = Secret> {
        self.lone().into_iter().chain(self.keys.iter().flatten().map(|key| key.secret.clone()))
    }
}

/// How long each class of data is kept, in days (source §9).
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Payloads of events that are posted. Default: 400.
    pub raw_days: Option<Whole<1, 3_650>>,
    /// What the redirector logged of a click, beyond its id and campaign. Default: 400.
    pub clicks_days: Option<Whole<1, 3_650>>,
    /// Refused requests of known partners, and dead letters that were discarded. Default: 90.
    pub rejections_days: Option<Whole<1, 3_650>>,
    /// Entries of the ledger; not less than the first two. Default: 3650.
    pub ledger_days: Option<Whole<30, 36_500>>,
}

/// What is kept of a partner's payloads (source §9). `event`, `event_id`, `click_id`, `ts_event`, `amount`, `currency`,
/// `original_event_id`, `is_ftd`, `bonus` and `consent` always stay as they are.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Minimise {
    /// The other top-level members that are kept; at most 64. Default: all.
    pub keep: Option<Vec<String>>,
    /// Members whose value is replaced by its salted hash; at most 64. Default: none.
    pub hash: Option<Vec<String>>,
    /// Members of which only the beginning is kept: of `ip` the network, of `ua` the browser's family and major version;
    /// at most 64. Default: none.
    pub truncate: Option<Vec<String>>,
}

/// Who may call `/internal/…`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Bearer tokens, by their SHA-256; 1 to 16.
    pub tokens: Vec<OpaqueToken>,
}

/// The commercial terms from one date on (source §8).
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// First instant at which the terms hold, `2026-01-01T00:00:00Z`.
    pub from: String,
    /// Smallest deposit that counts as a first one (source §8). Default: any above zero.
    pub ftd_min_deposit: Option<Money>,
    /// Days from the registration in which a first deposit counts. Default: any time.
    pub ftd_window_days: Option<Whole<1, 3_650>>,
    /// Whether a first deposit counts only of a player who is known (KYC). Default: `not_required`.
    pub ftd_kyc: Option<Kyc>,
    /// Price of one valid first deposit. Default: none.
    pub cpa: Option<Money>,
    /// Share of the net revenue, in percent: a decimal number as text with at most two decimals, `"25"` or `"12.5"`; at most
    /// 100. Default: none.
    pub revenue_share_percent: Option<String>,
    /// Whether events that were matched with a click by probability are billed (source §10). Default: `never_billed`.
    pub probable: Option<Probable>,
}

/// Whether a first deposit counts only of a player who is known.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Kyc {
    /// KYC plays no part.
    #[default]
    NotRequired,
    /// The deposit counts from its player's `kyc_approved` on.
    Required,
}

/// Whether events that were matched with a click by probability are billed (source §10).
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Probable {
    /// They are in the ledger and bring no payout.
    #[default]
    NeverBilled,
    /// They bring a payout as every other event does.
    Billed,
}

/// An amount of money.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// A decimal number as text, `"10.00"`, not negative, with at most the currency's decimals.
    pub amount: String,
    /// ISO 4217 code, `"EUR"`.
    pub currency: String,
}
