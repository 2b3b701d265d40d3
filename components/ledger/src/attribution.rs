//! The click that something is traced back to, and how that was found (source §3, §10).

use alloc::string::String;

use serde::Serialize;

use crate::names::names;

/// The click that something is traced back to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touch {
    /// The click's plain id.
    pub click_id: String,
    /// Its campaign, where it is known.
    pub campaign: Option<String>,
}

/// How an event is traced back to a click.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribution {
    /// By its own click.
    Click,
    /// By its player's registration.
    Account,
    /// By its install.
    Install,
    /// By resemblance to a click. Billed only where the contract says so.
    Probable {
        /// How close, in thousandths.
        score_permille: u32,
    },
    /// Not at all.
    None,
}

names! {
    /// What an entry says of its attribution, without the score.
    pub enum AttributionName {
        /// By its own click.
        Click => "click",
        /// By its player's registration.
        Account => "account",
        /// By its install.
        Install => "install",
        /// By resemblance to a click.
        Probable => "probable",
        /// Not at all.
        None => "none",
    }
}

impl Attribution {
    /// Its name on an entry.
    #[must_use]
    pub const fn name(self) -> AttributionName {
        match self {
            Self::Click => AttributionName::Click,
            Self::Account => AttributionName::Account,
            Self::Install => AttributionName::Install,
            Self::Probable { .. } => AttributionName::Probable,
            Self::None => AttributionName::None,
        }
    }

    /// How close, in thousandths, where that is a matter of probability.
    #[must_use]
    pub const fn score(self) -> Option<u32> {
        match self {
            Self::Probable { score_permille } => Some(score_permille),
            Self::Click | Self::Account | Self::Install | Self::None => None,
        }
    }

    /// The attribution of that name; `None` for another name, and where a score is missing.
    #[must_use]
    pub fn of(name: &str, score: Option<u32>) -> Option<Self> {
        Some(match AttributionName::of(name)? {
            AttributionName::Click => Self::Click,
            AttributionName::Account => Self::Account,
            AttributionName::Install => Self::Install,
            AttributionName::Probable => Self::Probable { score_permille: score? },
            AttributionName::None => Self::None,
        })
    }
}

/// What an event was matched by, as it is kept on its entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MatchedBy {
    /// The click, plain.
    pub click_id: String,
    /// Points for the network, in thousandths.
    pub network: u16,
    /// Points for the device class.
    pub device: u16,
    /// Points for the country.
    pub geo: u16,
    /// Points for the time.
    pub time: u16,
    /// Milliseconds from the click to the event.
    pub elapsed_ms: u64,
}
