//! What one event becomes: postings and a verdict, a wait, or a dead letter (source §3, §7, §8). Pure. Sums, counts and verdicts
//! are the same in whatever order the events arrive; docs/ledger.md lists the few things that are not.
//!
//! [`decide`] reads a [`Book`] with all that is known around a batch of events, and notes in it what it decides, so that the next
//! event of the batch finds it there. What it decides is written into a [`Settlement`], whose rows are those of the SQL view
//! `settling`.

use alloc::borrow::ToOwned as _;
use alloc::collections::btree_map::Entry;
use alloc::string::String;
use alloc::vec::Vec;

use countersign_core::money::{Amount, Currency};
use countersign_core::time::Timestamp;

use crate::book::{Account, Arrival, Attribution, Book, Candidate, FirstDeposit, Install, Posted, Touch};
use crate::decision::{Dead, Decision, Verdict, Wait};
use crate::document::{Kyc, Probable};
use crate::fx::{Conversion, Date, RateTable, Unconverted};
use crate::rules::{Rules, Terms};
use crate::settlement::{PostingRow, Settlement};
use crate::trace::{Traced, trace};

/// Decides one event at `now`, notes what it decides in `book`, and writes its rows.
pub fn decide(
    rules: &Rules,
    book: &mut Book,
    arrival: &Arrival,
    now: Timestamp,
    rows: &mut Settlement,
) -> Decision {
    let decision = match post(rules, book, arrival, now) {
        Ok(None) => Decision::Repeat,
        Ok(Some(plan)) => {
            plan.carry_out(book, arrival, rows);
            Decision::Post
        }
        Err(Refused::Wait(wait)) => Decision::Wait(wait),
        Err(Refused::Dead(dead)) => Decision::Dead(dead),
    };
    match &decision {
        Decision::Post | Decision::Repeat => rows.done.push(arrival.id),
        Decision::Dead(dead) => {
            rows.done.push(arrival.id);
            rows.dead.push((arrival.id, dead.as_str(), dead.detail(), arrival.attempts));
        }
        // When it is due again is the caller's: that takes a random number.
        Decision::Wait(_) => {}
    }
    decision
}

enum Refused {
    Wait(Wait),
    Dead(Dead),
}

impl From<Wait> for Refused {
    fn from(wait: Wait) -> Self {
        Self::Wait(wait)
    }
}

impl From<Dead> for Refused {
    fn from(dead: Dead) -> Self {
        Self::Dead(dead)
    }
}

/// What is to be written of an event, once nothing can fail any more.
struct Plan {
    traced: Traced,
    account_id: Option<String>,
    original: Option<(String, i64, i64)>,
    postings: Vec<PostingRow>,
    verdicts: Vec<(i64, Verdict)>,
    /// The first deposit, and the one that was it so far.
    first: Option<(i64, Option<i64>)>,
    account: Option<Account>,
    candidate: Option<Candidate>,
}

fn post(rules: &Rules, book: &Book, arrival: &Arrival, now: Timestamp) -> Result<Option<Plan>, Refused> {
    let name = (arrival.partner.clone(), arrival.event_id.clone());
    let posted = book.entries.get(&name).map(|posted| &posted.payload_hash);
    if let Some(payload_hash) = posted.or_else(|| book.purged.get(&name)) {
        return if *payload_hash == arrival.payload_hash {
            Ok(None)
        } else {
            Err(Dead::EventIdReused.into())
        };
    }
    let account_name =
        arrival.payload.account_id.clone().map(|account_id| (arrival.partner.clone(), account_id));
    let account = account_name.as_ref().and_then(|name| book.accounts.get(name));
    // What takes back a deposit is booked where the deposit is, or net revenue would go below zero there and stay too high here.
    let taken_back = match arrival.event.as_str() {
        "refund" | "chargeback" => Some(original(rules, book, arrival, now)?),
        _ => None,
    };
    let traced = match taken_back {
        Some(deposit) => Traced {
            touch: Touch { click_id: arrival.click_id.clone(), campaign: deposit.campaign.clone() },
            attribution: deposit.attribution,
            matched_by: None,
        },
        None => trace(rules, book, arrival, now)?,
    };
    let account_id = taken_back.map_or(&arrival.payload.account_id, |deposit| &deposit.account_id).clone();
    let mut plan = Plan {
        traced,
        account_id,
        original: None,
        postings: Vec::new(),
        verdicts: Vec::new(),
        first: None,
        account: None,
        candidate: None,
    };
    let poster = Poster { rules, rates: &book.rates, arrival, now };
    match (arrival.event.as_str(), taken_back) {
        (_, Some(deposit)) => plan.take_back(&poster, deposit)?,
        ("registration" | "kyc_approved", None) => plan.meet(&poster, account)?,
        ("deposit_success", None) => plan.deposit(&poster, account)?,
        ("install", None) => {}
        (_, None) => plan.custom(&poster)?,
    }
    Ok(Some(plan))
}

/// What a refund or a chargeback takes back; it waits for it.
fn original<'b>(
    rules: &Rules,
    book: &'b Book,
    arrival: &Arrival,
    now: Timestamp,
) -> Result<&'b Posted, Refused> {
    let (Some(_), Some(original_id)) = (arrival.payload.amount, &arrival.payload.original_event_id) else {
        return Err(Dead::RowDamaged.into());
    };
    let name = (arrival.partner.clone(), original_id.clone());
    if let Some(original) = book.entries.get(&name) {
        return Ok(original);
    }
    if book.purged.contains_key(&name) {
        return Err(Dead::OriginalPurged.into());
    }
    let until = arrival.received_at.plus_ms(rules.patience.original_ms);
    if now >= until {
        return Err(Dead::OriginalUnknown.into());
    }
    let waits_for = ["event:", &arrival.partner, ":", original_id].concat();
    Err(Refused::Wait(Wait { reason: "original_unknown", waits_for, until }))
}

/// What all postings of an event share.
struct Poster<'p> {
    rules: &'p Rules,
    rates: &'p RateTable,
    arrival: &'p Arrival,
    now: Timestamp,
}

/// The terms of a partner that has no contract: whatever is above zero is a deposit, and nothing is owed.
const NO_CONTRACT: Terms = Terms {
    from: Timestamp::from_ms(0),
    ftd_min_deposit: None,
    ftd_window_ms: None,
    ftd_kyc: Kyc::NotRequired,
    cpa: None,
    revenue_share_bp: 0,
    probable: Probable::NeverBilled,
};

impl Poster<'_> {
    fn terms(&self, instant: Timestamp) -> &Terms {
        self.rules.partner(&self.arrival.partner).terms_at(instant).unwrap_or(&NO_CONTRACT)
    }

    /// An amount in another currency, by the rate of a date; without one the event waits.
    fn convert(&self, amount: Amount, to: Currency, instant: Timestamp) -> Result<Conversion, Refused> {
        self.rates.convert(amount, to, Date::of(instant)).map_err(|problem| match problem {
            Unconverted::OutOfRange => Refused::Dead(Dead::AmountOutOfRange),
            Unconverted::NoDay | Unconverted::NoQuote { .. } => {
                let until = self.arrival.received_at.plus_ms(self.rules.patience.rate_ms);
                if self.now < until {
                    Refused::Wait(Wait { reason: "rate_unknown", waits_for: "rate".to_owned(), until })
                } else {
                    Refused::Dead(Dead::RateUnknown)
                }
            }
        })
    }

    /// A posting for an entry, with its value in the report's currency at `instant`.
    fn posting(
        &self,
        entry: i64,
        kind: &'static str,
        amount: Amount,
        instant: Timestamp,
    ) -> Result<PostingRow, Refused> {
        let report = self.convert(amount, self.rules.report_currency, instant)?;
        Ok(PostingRow { entry, cause: self.arrival.id, kind, amount, report })
    }

    /// Whether a deposit is its player's first, as far as the player and the deposits before it are known.
    fn judge(&self, deposit: &Candidate, bonus: bool, account: Option<&Account>) -> Result<Verdict, Refused> {
        let Candidate { ts_event, amount, .. } = *deposit;
        let terms = self.terms(ts_event);
        if bonus {
            return Ok(Verdict::Bonus);
        }
        if amount.minor <= 0 {
            return Ok(Verdict::Zero);
        }
        if let Some(minimum) = terms.ftd_min_deposit
            && self.convert(amount, minimum.currency, ts_event)?.amount.minor < minimum.minor
        {
            return Ok(Verdict::BelowMinimum);
        }
        let Some(account) = account else { return Ok(Verdict::NoAccount) };
        if let Some(window_ms) = terms.ftd_window_ms {
            match account.registered_at {
                None => return Ok(Verdict::NotRegistered),
                Some(registered_at) if ts_event.since_ms(registered_at) > window_ms => {
                    return Ok(Verdict::OutsideWindow);
                }
                Some(_) => {}
            }
        }
        if terms.ftd_kyc == Kyc::Required && account.kyc_at.is_none() {
            return Ok(Verdict::NotKnown);
        }
        // An earlier one that comes later takes the place of a first one: it does not matter which of them is posted first.
        let is_late =
            account.first_deposit.as_ref().is_some_and(|first| first.place() < (ts_event, &deposit.event_id));
        Ok(if is_late { Verdict::NotTheFirst } else { Verdict::First })
    }

    fn is_billed(&self, attribution: Attribution, terms: &Terms) -> bool {
        match attribution {
            Attribution::Click | Attribution::Account | Attribution::Install | Attribution::None => true,
            Attribution::Probable { .. } => terms.probable == Probable::Billed,
        }
    }

    /// The price of a first deposit, where one is agreed.
    fn cpa(
        &self,
        entry: i64,
        ts_event: Timestamp,
        attribution: Attribution,
    ) -> Result<Option<PostingRow>, Refused> {
        let terms = self.terms(ts_event);
        let price = terms.cpa.filter(|price| price.minor > 0 && self.is_billed(attribution, terms));
        price.map(|price| self.posting(entry, "cpa", price, ts_event)).transpose()
    }
}

/// A share of an amount in hundredths of a percent: exact, rounded once, half to even.
#[must_use]
pub fn share(minor: i64, basis_points: u32) -> i64 {
    const WHOLE: i128 = 10_000;
    // At most 2^63 × 2^32 in magnitude.
    let product = i128::from(minor).saturating_mul(i128::from(basis_points));
    let quotient = product.checked_div(WHOLE).unwrap_or(0);
    let remainder = product.checked_rem(WHOLE).unwrap_or(0).unsigned_abs().saturating_mul(2);
    let away = match remainder.cmp(&WHOLE.unsigned_abs()) {
        core::cmp::Ordering::Less => false,
        core::cmp::Ordering::Equal => quotient.checked_rem(2) != Some(0),
        core::cmp::Ordering::Greater => true,
    };
    let step = if product < 0 { -1_i128 } else { 1 };
    let rounded = if away { quotient.saturating_add(step) } else { quotient };
    // No more than the whole, as long as the share is none above 100 %.
    i64::try_from(rounded).unwrap_or(minor)
}

impl Plan {
    /// A registration or a KYC: the account knows more, and a deposit that had to wait for that may be the first one now.
    fn meet(&mut self, poster: &Poster<'_>, account: Option<&Account>) -> Result<(), Refused> {
        let arrival = poster.arrival;
        if arrival.payload.account_id.is_none() {
            return Ok(());
        }
        let before = account;
        let mut account = account.cloned().unwrap_or_default();
        if arrival.event == "registration" {
            account.registered_at = account.registered_at.or(Some(arrival.ts_event));
            if account.touch.is_none() {
                account.touch = Some(self.traced.touch.clone());
                account.attribution = Some(self.traced.attribution);
            }
        } else {
            account.kyc_at = account.kyc_at.or(Some(arrival.ts_event));
        }
        let mut candidates = core::mem::take(&mut account.candidates);
        candidates.sort_by(|one, other| one.place().cmp(&other.place()));
        for candidate in candidates {
            let verdict = poster.judge(&candidate, false, Some(&account))?;
            if verdict == Verdict::First {
                self.crown(poster, &mut account, &candidate)?;
            }
            if !verdict.may_change() || verdict != poster.judge(&candidate, false, before)? {
                self.verdicts.push((candidate.id, verdict));
            }
            if verdict.may_change() {
                account.candidates.push(candidate);
            }
        }
        self.account = Some(account);
        Ok(())
    }

    fn deposit(&mut self, poster: &Poster<'_>, account: Option<&Account>) -> Result<(), Refused> {
        let arrival = poster.arrival;
        // The gate lets no deposit pass without its money.
        let Some(amount) = arrival.payload.amount else { return Err(Dead::RowDamaged.into()) };
        let kind = if arrival.payload.bonus { "bonus" } else { "deposit" };
        self.postings.push(poster.posting(arrival.id, kind, amount, arrival.ts_event)?);
        let mut account = match (&arrival.payload.account_id, account) {
            (Some(_), account) => Some(account.cloned().unwrap_or_default()),
            (None, _) => None,
        };
        let deposit = Candidate {
            id: arrival.id,
            event_id: arrival.event_id.clone(),
            ts_event: arrival.ts_event,
            amount,
            attribution: self.traced.attribution,
        };
        let verdict = poster.judge(&deposit, arrival.payload.bonus, account.as_ref())?;
        self.verdicts.push((arrival.id, verdict));
        if let (Verdict::First, Some(account)) = (verdict, &mut account) {
            self.crown(poster, account, &deposit)?;
            self.account = Some(account.clone());
        } else if verdict.may_change() {
            self.candidate = Some(deposit);
        }
        if !arrival.payload.bonus {
            self.revenue_share(poster, arrival.ts_event, amount.currency, 0, amount.minor)?;
        }
        Ok(())
    }

    /// Makes a deposit its player's first. One that was so far, and happened later, gives back what it brought.
    fn crown(
        &mut self,
        poster: &Poster<'_>,
        account: &mut Account,
        deposit: &Candidate,
    ) -> Result<(), Refused> {
        let cause = poster.arrival.id;
        let price = poster.cpa(deposit.id, deposit.ts_event, deposit.attribution)?;
        let first = FirstDeposit {
            id: deposit.id,
            event_id: deposit.event_id.clone(),
            ts_event: deposit.ts_event,
            price: price.clone(),
        };
        let before = account.first_deposit.replace(first);
        self.first = Some((deposit.id, before.as_ref().map(|before| before.id)));
        if let Some(before) = before {
            self.verdicts.push((before.id, Verdict::NotTheFirst));
            self.postings.extend(before.price.map(|price| price.reversed(cause)));
        }
        self.postings.extend(price);
        Ok(())
    }

    /// The share of what the net revenue of one deposit grew by, `before` to `after`. Taken from the sums, so that what was taken
    /// back in parts comes to the cent to what was paid.
    fn revenue_share(
        &mut self,
        poster: &Poster<'_>,
        agreed_at: Timestamp,
        currency: Currency,
        before: i64,
        after: i64,
    ) -> Result<(), Refused> {
        let terms = poster.terms(agreed_at);
        if terms.revenue_share_bp == 0 || !poster.is_billed(self.traced.attribution, terms) {
            return Ok(());
        }
        let minor =
            share(after, terms.revenue_share_bp).saturating_sub(share(before, terms.revenue_share_bp));
        if minor != 0 {
            let amount = Amount { minor, currency };
            let instant = poster.arrival.ts_event;
            self.postings.push(poster.posting(poster.arrival.id, "revenue_share", amount, instant)?);
        }
        Ok(())
    }

    /// A refund or a chargeback: negative income, linked to the deposit. What was counted as a conversion stays one.
    fn take_back(&mut self, poster: &Poster<'_>, original: &Posted) -> Result<(), Refused> {
        let arrival = poster.arrival;
        let (Some(amount), Some(original_id)) = (arrival.payload.amount, &arrival.payload.original_event_id)
        else {
            return Err(Dead::RowDamaged.into());
        };
        let Some((paid, taken_back)) = original.money.filter(|_| original.event == "deposit_success") else {
            return Err(Dead::OriginalIsNoDeposit.into());
        };
        if paid.currency != amount.currency {
            return Err(Dead::CurrencyDiffers.into());
        }
        // Neither is below zero, and what is taken back is never more than what was paid.
        let left = paid.minor.saturating_sub(taken_back);
        if amount.minor > left {
            return Err(Dead::OverRefund.into());
        }
        // A bonus was no income, so it is no loss either.
        let kind = match (original.bonus, arrival.event.as_str()) {
            (true, _) => "bonus",
            (false, "refund") => "refund",
            (false, _) => "chargeback",
        };
        let negative = Amount { minor: 0_i64.saturating_sub(amount.minor), currency: amount.currency };
        self.postings.push(poster.posting(arrival.id, kind, negative, arrival.ts_event)?);
        if !original.bonus {
            let after = left.saturating_sub(amount.minor);
            self.revenue_share(poster, original.ts_event, amount.currency, left, after)?;
        }
        self.original = Some((original_id.clone(), original.id, amount.minor));
        Ok(())
    }

    /// An event of a declared type: its money, where it has any, is kept and is no revenue.
    fn custom(&mut self, poster: &Poster<'_>) -> Result<(), Refused> {
        let arrival = poster.arrival;
        if let Some(amount) = arrival.payload.amount {
            self.postings.push(poster.posting(arrival.id, "custom", amount, arrival.ts_event)?);
        }
        Ok(())
    }

    /// Notes the event in the book, and writes its rows.
    fn carry_out(self, book: &mut Book, arrival: &Arrival, rows: &mut Settlement) {
        let Traced { touch, attribution, matched_by } = self.traced;
        rows.entries.push((
            arrival.id,
            touch.campaign.clone(),
            attribution.as_str(),
            attribution.score(),
            matched_by,
            self.account_id.clone(),
            self.original.as_ref().map(|(_, id, _)| *id),
            arrival.payload.is_ftd.map(u8::from),
        ));
        rows.postings.extend(self.postings);
        rows.verdicts
            .extend(self.verdicts.into_iter().map(|(entry, verdict)| (entry, arrival.id, verdict.as_str())));
        if let Some((original_id, _, minor)) = self.original
            && let Some(original) = book.entries.get_mut(&(arrival.partner.clone(), original_id))
            && let Some((_, taken_back)) = &mut original.money
        {
            *taken_back = taken_back.saturating_add(minor);
        }
        if let Some(account_id) = &arrival.payload.account_id {
            let name = (arrival.partner.clone(), account_id.clone());
            if let Some((entry, before)) = self.first {
                rows.crown(&name, entry, before);
            }
            if let Some(account) = self.account {
                if arrival.event != "deposit_success" {
                    rows.accounts.push(account.row(&name));
                }
                if let Some(touch) = account.touch.as_ref().filter(|touch| touch.campaign.is_some()) {
                    book.taken.insert((name.0.clone(), touch.click_id.clone()));
                }
                book.accounts.insert(name.clone(), account);
            }
            if let Some(candidate) = self.candidate {
                book.accounts.entry(name).or_default().candidates.push(candidate);
            }
        }
        if let (Some(install_id), "install") = (&arrival.payload.install_id, arrival.event.as_str()) {
            let name = (arrival.partner.clone(), install_id.clone());
            // The first touch stands.
            if let Entry::Vacant(vacant) = book.installs.entry(name) {
                let install = Install { touch: touch.clone(), attribution };
                rows.installs.push(install.row(vacant.key()));
                vacant.insert(install);
            }
        }
        let posted = Posted {
            id: arrival.id,
            payload_hash: arrival.payload_hash,
            event: arrival.event.clone(),
            ts_event: arrival.ts_event,
            money: arrival.payload.amount.map(|amount| (amount, 0)),
            account_id: self.account_id,
            campaign: touch.campaign,
            attribution,
            bonus: arrival.payload.bonus,
        };
        book.entries.insert((arrival.partner.clone(), arrival.event_id.clone()), posted);
    }
}
