//! The click that an event without an id of its own most probably belongs to (source §10).
//!
//! A guess, and marked as one: every point of its score is kept with what it was given for, and where two clicks are equally
//! good there is no answer. Whether anything is paid on it is for the contract to say; by default nothing is.

use alloc::string::String;
use core::cmp::Ordering;
use core::net::IpAddr;

use countersign_core::event::ClickId;
use countersign_core::text::Text;
use countersign_core::time::Timestamp;

use crate::client::{DeviceClass, truncate_ip};

/// What is known of who clicked, or of where an event came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits {
    /// The address, or the network that was kept of it: only [`truncate_ip`] of it is compared.
    pub network: Option<IpAddr>,
    /// The device class.
    pub device: DeviceClass,
    /// The country: two letters in upper case.
    pub geo: Option<Text<2>>,
    /// When it happened.
    pub at: Timestamp,
}

/// A click that an event may belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearbyClick {
    /// The click's id.
    pub click_id: ClickId,
    /// The click's campaign.
    pub campaign: String,
    /// What is known of it.
    pub traits: Traits,
}

/// Points for what two of them have in common, in permille. What is unknown on either side is worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// For the same network (/24 or /48).
    pub network: u16,
    /// For the same device class.
    pub device: u16,
    /// For the same country.
    pub geo: u16,
    /// For an event right after the click; falls in a straight line to none at the window's end.
    pub time: u16,
}

impl Default for Weights {
    /// The network counts for so much that nothing else comes near it.
    fn default() -> Self {
        Self { network: 450, device: 150, geo: 100, time: 300 }
    }
}

impl Weights {
    fn sum(self) -> u32 {
        [self.network, self.device, self.geo, self.time].into_iter().map(u32::from).sum()
    }
}

/// The longest window, in milliseconds: 30 days.
pub const WINDOW_MS_MAX: u64 = 30 * 86_400_000;

/// How an event is matched with clicks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matcher {
    weights: Weights,
    threshold: u16,
    window_ms: u64,
}

impl Matcher {
    /// A matcher that takes clicks of at most `window_ms` before the event (1 to [`WINDOW_MS_MAX`]) and scores of at least
    /// `threshold` permille (1 to 1000).
    ///
    /// # Errors
    /// A [`MatcherConfigError`]; weights must have the sum 1000.
    pub fn new(weights: Weights, threshold: u16, window_ms: u64) -> Result<Self, MatcherConfigError> {
        if weights.sum() != 1000 {
            return Err(MatcherConfigError::Weights);
        }
        if !(1..=1000).contains(&threshold) {
            return Err(MatcherConfigError::Threshold);
        }
        if !(1..=WINDOW_MS_MAX).contains(&window_ms) {
            return Err(MatcherConfigError::Window);
        }
        Ok(Self { weights, threshold, window_ms })
    }

    /// How long before an event a click may have happened, in milliseconds.
    #[must_use]
    pub const fn window_ms(&self) -> u64 {
        self.window_ms
    }

    /// The best of the clicks, whatever their order. One that clicked after the event or more than the window before it is
    /// none, nor is a bot.
    ///
    /// # Errors
    /// [`NoMatch`]: no answer is better than a wrong one.
    pub fn best<'c>(
        &self,
        event: &Traits,
        clicks: impl IntoIterator<Item = &'c NearbyClick>,
    ) -> Result<Probable<'c>, NoMatch> {
        let mut best: Option<Probable<'c>> = None;
        let mut tied = false;
        for found in clicks.into_iter().filter_map(|click| self.weigh(event, click)) {
            let order = best.map_or(Ordering::Greater, |best| found.score().cmp(&best.score()));
            match order {
                Ordering::Greater => (best, tied) = (Some(found), false),
                // One click that is listed twice does not compete with itself.
                Ordering::Equal => {
                    tied |= best.is_some_and(|best| best.click.click_id != found.click.click_id);
                }
                Ordering::Less => {}
            }
        }
        let best = best.ok_or(NoMatch::NoClick)?;
        let score = best.score();
        if score < self.threshold {
            Err(NoMatch::BelowThreshold { score })
        } else if tied {
            Err(NoMatch::Tie { score })
        } else {
            Ok(best)
        }
    }

    fn weigh<'c>(&self, event: &Traits, click: &'c NearbyClick) -> Option<Probable<'c>> {
        let seen = &click.traits;
        let elapsed_ms = event.at.as_ms().checked_sub(seen.at.as_ms())?;
        let left_ms = self.window_ms.checked_sub(elapsed_ms)?;
        if seen.device == DeviceClass::Bot || event.device == DeviceClass::Bot {
            return None;
        }
        let network = |traits: &Traits| traits.network.map(truncate_ip);
        let given = |weight, is_same| if is_same { weight } else { 0 };
        let time = u64::from(self.weights.time).saturating_mul(left_ms).checked_div(self.window_ms);
        let points = Weights {
            network: given(self.weights.network, event.network.is_some() && network(event) == network(seen)),
            device: given(
                self.weights.device,
                event.device != DeviceClass::Unknown && event.device == seen.device,
            ),
            geo: given(self.weights.geo, event.geo.is_some() && event.geo == seen.geo),
            // At most the weight, since what is left is at most the window.
            time: time.and_then(|time| u16::try_from(time).ok()).unwrap_or(0),
        };
        Some(Probable { click, points, elapsed_ms })
    }
}

impl Default for Matcher {
    /// One day, and 800 of 1000 points: nothing reaches them without the network, and the network does not reach them alone,
    /// however short the time.
    fn default() -> Self {
        Self { weights: Weights::default(), threshold: 800, window_ms: 86_400_000 }
    }
}

/// Why a matcher cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatcherConfigError {
    /// The sum of the weights is not 1000.
    Weights,
    /// The threshold is not from 1 to 1000.
    Threshold,
    /// The window is not from 1 ms to [`WINDOW_MS_MAX`].
    Window,
}

impl MatcherConfigError {
    /// What to write instead; for the operator.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Weights => "write weights whose sum is 1000",
            Self::Threshold => "write a threshold from 1 to 1000",
            Self::Window => "write a window of at most 30 days, and more than none",
        }
    }
}

/// A match, and what speaks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probable<'c> {
    /// The click, with what was compared of it.
    pub click: &'c NearbyClick,
    /// The points it was given for each; at most the weights.
    pub points: Weights,
    /// Milliseconds from the click to the event.
    pub elapsed_ms: u64,
}

impl Probable<'_> {
    /// The sum of the points, in permille.
    #[must_use]
    pub fn score(&self) -> u16 {
        u16::try_from(self.points.sum()).unwrap_or(u16::MAX)
    }
}

/// Why there is no match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMatch {
    /// No click in the window.
    NoClick,
    /// The best one has too few points.
    BelowThreshold {
        /// Its score, in permille.
        score: u16,
    },
    /// Two clicks or more share the best score.
    Tie {
        /// That score, in permille.
        score: u16,
    },
}
