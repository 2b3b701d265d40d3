//! Which click an event is traced back to (source §3, §10): its own, else its player's, else its install's, else the one that it most
//! probably belongs to, else none.

use alloc::borrow::ToOwned as _;
use alloc::string::{String, ToString as _};

use countersign_core::time::Timestamp;

use crate::attribution::{Attribution, MatchedBy, Touch};
use crate::book::{Book, QueuedEvent};
use crate::client::{DeviceClass, truncate_ip};
use crate::decision::{Wait, WaitReason};
use crate::probable::{self, Weights};
use crate::rules::Rules;

/// The click, and how it was found.
pub(crate) struct Traced {
    pub(crate) touch: Touch,
    pub(crate) attribution: Attribution,
    /// Where this event itself was matched.
    pub(crate) matched_by: Option<MatchedBy>,
}

/// What an event is matched with, a row of [`CANDIDATES`]' parameter: the event's row in the inbox, the partner, the network, the
/// country and the device class, and the first and the last millisecond in which the click may have happened.
pub type Search = (i64, String, Option<String>, Option<String>, Option<&'static str>, u64, u64);

/// SQL that finds the clicks which events may be matched with; `?1` is a JSON array of [`Search`]es. The columns: the event's row in the
/// inbox, then click id, campaign, network, device class, country (each as a blob), time, and whether a player has the click already.
///
/// At most 200 for each event: the newest 100 from its network, which outweighs all else, and the newest 100 from its country and a device
/// of its class. Only clicks that count are among them.
pub const CANDIDATES: &str = "SELECT event.value ->> 0, CAST(click.click_id AS BLOB), CAST(click.campaign AS BLOB), \
     CAST(click.ip_prefix AS BLOB), CAST(click.device_class AS BLOB), CAST(click.geo AS BLOB), click.clicked_at, \
     EXISTS (SELECT 1 FROM account INDEXED BY account_by_click WHERE account.partner = click.partner AND account.click_id = click.click_id \
       AND account.campaign IS NOT NULL) \
     FROM json_each(?1) AS event CROSS JOIN click ON click.click_id IN ( \
       SELECT * FROM (SELECT click_id FROM click AS near WHERE kind = 'click' AND near.partner = event.value ->> 1 \
         AND ip_prefix = event.value ->> 2 AND clicked_at BETWEEN event.value ->> 5 AND event.value ->> 6 \
         ORDER BY clicked_at DESC LIMIT 100) \
       UNION ALL \
       SELECT * FROM (SELECT click_id FROM click AS near WHERE kind = 'click' AND near.partner = event.value ->> 1 \
         AND geo = event.value ->> 3 AND device_class = event.value ->> 4 \
         AND clicked_at BETWEEN event.value ->> 5 AND event.value ->> 6 ORDER BY clicked_at DESC LIMIT 100))";

/// What to look for so that `book.nearby` has the clicks that the event may be matched with; `None` where it is not going to be matched, as far as `book` knows.
#[must_use]
pub fn search(rules: &Rules, book: &Book, queued: &QueuedEvent, now: Timestamp) -> Option<Search> {
    let matcher = rules.matching.as_ref()?;
    let is_posted = book.entries.contains_key(&(queued.partner.clone(), queued.event_id.clone()));
    let takes_back = queued.event.original().is_some();
    if is_posted || takes_back || now < patience_ends(rules, queued) || known(book, queued).is_some() {
        return None;
    }
    let traits = traits_of(queued);
    let network = traits.network.map(|network| truncate_ip(network).to_string());
    let device = match traits.device {
        DeviceClass::Bot => return None,
        DeviceClass::Unknown => None,
        class @ (DeviceClass::Mobile | DeviceClass::Tablet | DeviceClass::Desktop | DeviceClass::Tv) => {
            Some(class.as_str())
        }
    };
    let geo = traits.geo.map(|geo| geo.as_str().to_owned());
    if network.is_none() && (geo.is_none() || device.is_none()) {
        return None;
    }
    let last_ms = queued.ts_event.as_ms();
    let first_ms = last_ms.saturating_sub(matcher.window_ms());
    Some((queued.id, queued.partner.clone(), network, geo, device, first_ms, last_ms))
}

/// The click that an event is traced back to.
///
/// # Errors
/// The event still waits for its own click to be known.
pub(crate) fn trace(
    rules: &Rules,
    book: &Book,
    queued: &QueuedEvent,
    now: Timestamp,
) -> Result<Traced, Wait> {
    if let Some(known) = known(book, queued) {
        return Ok(known);
    }
    let until = patience_ends(rules, queued);
    if now < until {
        let waits_for = ["click:", &queued.click_id].concat();
        return Err(Wait { reason: WaitReason::ClickUnknown, waits_for, until });
    }
    Ok(matched(rules, book, queued).unwrap_or_else(|| Traced {
        touch: Touch { click_id: queued.click_id.clone(), campaign: None },
        attribution: Attribution::None,
        matched_by: None,
    }))
}

fn patience_ends(rules: &Rules, queued: &QueuedEvent) -> Timestamp {
    queued.received_at.plus_ms(rules.patience.click_ms)
}

/// By an id: the event's own click, else its player's, else its install's.
fn known(book: &Book, queued: &QueuedEvent) -> Option<Traced> {
    let name = |id: &String| (queued.partner.clone(), id.clone());
    if let Some(campaign) = book.clicks.get(&name(&queued.click_id)) {
        let touch = Touch { click_id: queued.click_id.clone(), campaign: Some(campaign.clone()) };
        return Some(Traced { touch, attribution: Attribution::Click, matched_by: None });
    }
    // What was matched by probability brings nothing that is surer.
    let through = |touch: &Touch, how: Option<Attribution>, otherwise| {
        touch.campaign.as_ref()?;
        let probable = how.filter(|how| matches!(how, Attribution::Probable { .. }));
        Some(Traced { touch: touch.clone(), attribution: probable.unwrap_or(otherwise), matched_by: None })
    };
    let account = queued.payload.account_id.as_ref().and_then(|id| book.accounts.get(&name(id)));
    let by_account = account
        .and_then(|account| through(account.touch.as_ref()?, account.attribution, Attribution::Account));
    by_account.or_else(|| {
        let install = book.installs.get(&name(queued.payload.install_id.as_ref()?))?;
        through(&install.touch, Some(install.attribution), Attribution::Install)
    })
}

/// By resemblance to a click. One that a player has is no other player's; an event that names none may be that player's.
fn matched(rules: &Rules, book: &Book, queued: &QueuedEvent) -> Option<Traced> {
    let matcher = rules.matching.as_ref()?;
    let is_free = |nearby: &&probable::NearbyClick| {
        let click = (queued.partner.clone(), nearby.click_id.as_str().to_owned());
        queued.payload.account_id.is_none() || !book.taken.contains(&click)
    };
    let nearby = book.nearby.get(&queued.id)?;
    let found = matcher.best(&traits_of(queued), nearby.iter().filter(is_free)).ok()?;
    let click_id = found.click.click_id.as_str().to_owned();
    let Weights { network, device, geo, time } = found.points;
    let elapsed_ms = found.elapsed_ms;
    Some(Traced {
        touch: Touch { click_id: click_id.clone(), campaign: Some(found.click.campaign.clone()) },
        attribution: Attribution::Probable { score_permille: u32::from(found.score()) },
        matched_by: Some(MatchedBy { click_id, network, device, geo, time, elapsed_ms }),
    })
}

fn traits_of(queued: &QueuedEvent) -> probable::Traits {
    let payload = &queued.payload;
    probable::Traits {
        network: payload.network,
        device: payload.device,
        geo: payload.geo,
        at: queued.ts_event,
    }
}
