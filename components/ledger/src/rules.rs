//! The tracker's half of the configuration, validated: campaigns, contracts, privacy.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use countersign_core::document::{ConfigError, ConfigErrors, Environment, Path, Whole, read, read_leniently};
use countersign_core::keys::Key;
use countersign_core::money::{Amount, Currency};
use countersign_core::policy::check::{count, timestamp, whole};
use countersign_core::policy::{Secrets, names_asked_for, opaque_tokens, own_keys, sandbox};
use countersign_core::receipt::MacKey;
use countersign_core::time::Timestamp;
use countersign_core::token::{OpaqueToken, TokenPolicy};

use crate::document::{self as written, CampaignClick, Durability, Kyc, LedgerConfiguration, Probable};
use crate::minimise::{self, MinimiseMistake};
use crate::probable::{Matcher, Weights};

/// Most campaigns of one document.
pub const CAMPAIGNS_MAX: usize = 10_000;
/// Longest landing page in bytes.
pub const LANDING_BYTES_MAX: usize = 2_048;
/// Most terms of one contract.
pub const TERMS_MAX: usize = 64;

const SECOND_MS: u64 = 1_000;
const DAY_MS: u64 = 86_400_000;

/// What the redirector, the worker and the ledger follow.
#[derive(Debug)]
pub struct Rules {
    /// Where clicks are sent on to, by name (source §2).
    pub campaigns: BTreeMap<String, Campaign>,
    /// How clicks are redirected and logged.
    pub redirect: Redirect,
    /// The currency of reports (source §7).
    pub report_currency: Currency,
    /// How long an event waits for what it needs.
    pub patience: Patience,
    /// How events without a click id of ours are matched (source §10); `None`: not at all.
    pub matching: Option<Matcher>,
    /// How long each class of data is kept (source §9).
    pub retention: Retention,
    /// Hash members that are kept in no other form (source §9); none: no partner hashes any.
    pub salts: Vec<Key<MacKey>>,
    /// The tokens that open `/internal/…`; without any, nothing does.
    pub admin: TokenPolicy,
    /// The terms of each partner that has any, and what is kept of its payloads.
    agreements: BTreeMap<String, Agreement>,
}

/// Where the clicks of a campaign are sent on to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// Whose landing page it is.
    pub partner: String,
    /// The landing page, an absolute URL.
    pub landing: String,
    /// The query parameter of the click id.
    pub parameter: String,
    /// Whether the operator gets the click id sealed.
    pub click_id: CampaignClick,
}

/// How clicks are redirected and logged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirect {
    /// Whether the user waits for the click to be durable.
    pub durability: Durability,
    /// The header of the country, in lower case.
    pub geo_header: Option<String>,
}

/// How long an event waits for what it needs, in milliseconds from its receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For its click; then it is posted as unattributed.
    pub click_ms: u64,
    /// For the deposit that it takes back; then it becomes a dead letter.
    pub original_ms: u64,
    /// For an exchange rate; then it becomes a dead letter.
    pub rate_ms: u64,
}

/// How long each class of data is kept, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Payloads of posted events.
    pub raw_ms: u64,
    /// What was logged of clicks.
    pub clicks_ms: u64,
    /// Rejections, and discarded dead letters.
    pub rejections_ms: u64,
    /// Entries of the ledger.
    pub ledger_ms: u64,
}

/// What is agreed with a partner.
#[derive(Clone, Debug, Default)]
pub struct Agreement {
    /// The terms, the oldest first.
    pub contract: Vec<Terms>,
    /// What is kept of its payloads; `None`: all of them.
    pub minimise: Option<minimise::MinimiseRules>,
}

/// The commercial terms from one instant on (source §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// First instant at which they hold.
    pub from: Timestamp,
    /// Smallest first deposit; `None`: any above zero.
    pub ftd_min_deposit: Option<Amount>,
    /// How long after the registration a first deposit counts, in milliseconds; `None`: for ever.
    pub ftd_window_ms: Option<u64>,
    /// Whether a first deposit counts only of a player who is known.
    pub ftd_kyc: Kyc,
    /// Price of one valid first deposit.
    pub cpa: Option<Amount>,
    /// Share of the net revenue in hundredths of a percent, 0 to 10,000.
    pub revenue_share_bp: u32,
    /// Whether events that were matched by probability are billed.
    pub probable: Probable,
}

/// What is agreed with a partner that the document says nothing of.
static NOTHING_AGREED: Agreement = Agreement { contract: Vec::new(), minimise: None };

impl Rules {
    /// Compiles the tracker's half of a document, with the secrets that the host resolves. The gate's half is
    /// [`countersign_core::policy::Policy`]'s.
    ///
    /// # Errors
    /// Every mistake that was found, each with its path and with what to write instead (`docs/config.md`).
    pub fn compile(
        json: &str,
        secrets: &mut dyn FnMut(&str) -> Option<Vec<u8>>,
    ) -> Result<Self, Vec<ConfigError>> {
        let mut errors = ConfigErrors::default();
        let rules = read_leniently(json, &mut errors).and_then(|document: LedgerConfiguration| {
            let secrets = Secrets::new(document.environment, document.name.as_deref(), secrets);
            Compiler { errors: &mut errors, secrets, document: &document }.rules()
        });
        match rules {
            Some(rules) if errors.is_empty() => Ok(rules),
            Some(_) | None => Err(errors.into_errors()),
        }
    }

    /// The name of every secret that [`Rules::compile`] will ask for, as of `Policy::secret_names`.
    ///
    /// # Errors
    /// Every mistake in the shape of the document.
    pub fn secret_names(json: &str) -> Result<Vec<String>, Vec<ConfigError>> {
        let document: LedgerConfiguration = read(json)?;
        let salt = document.privacy.as_ref().and_then(|privacy| privacy.salt.as_ref());
        let secrets: Vec<_> = salt.into_iter().flat_map(written::Salt::secrets).collect();
        Ok(names_asked_for(document.environment, &secrets))
    }

    /// What is agreed with a partner.
    #[must_use]
    pub fn agreement(&self, name: &str) -> &Agreement {
        self.agreements.get(name).unwrap_or(&NOTHING_AGREED)
    }

    /// Every partner that the document says anything of, by name.
    pub fn agreements(&self) -> impl Iterator<Item = (&str, &Agreement)> {
        self.agreements.iter().map(|(name, agreement)| (name.as_str(), agreement))
    }
}

impl Agreement {
    /// The terms that hold at `instant`; `None` before the first.
    #[must_use]
    pub fn terms_at(&self, instant: Timestamp) -> Option<&Terms> {
        self.contract.iter().rev().find(|terms| terms.from <= instant)
    }
}

/// The campaigns of a document, and how their clicks are redirected: all that the redirector follows, and it needs no secret.
///
/// # Errors
/// Every mistake in the shape of the document and in these parts.
pub(crate) fn redirects(json: &str) -> Result<(BTreeMap<String, Campaign>, Redirect), Vec<ConfigError>> {
    let mut errors = ConfigErrors::default();
    let redirects = read_leniently(json, &mut errors).map(|document: LedgerConfiguration| {
        let mut none = |_: &str| None;
        let secrets = Secrets::new(document.environment, document.name.as_deref(), &mut none);
        let mut compiler = Compiler { errors: &mut errors, secrets, document: &document };
        (compiler.campaigns(), compiler.redirect())
    });
    match redirects {
        Some(redirects) if errors.is_empty() => Ok(redirects),
        Some(_) | None => Err(errors.into_errors()),
    }
}

struct Compiler<'c, 's> {
    errors: &'c mut ConfigErrors,
    secrets: Secrets<'s>,
    document: &'c LedgerConfiguration,
}

impl Compiler<'_, '_> {
    fn rules(mut self) -> Option<Rules> {
        let document = self.document;
        let campaigns = self.campaigns();
        let redirect = self.redirect();
        let ledger = document.ledger.clone().unwrap_or_default();
        let path = Path::Root.member("ledger");
        let report_currency = self
            .currency(&path.member("report_currency"), ledger.report_currency.as_deref().unwrap_or("EUR"));
        let mut days = |name: &str, days: Option<Whole<1, 400>>| {
            u64::from(whole(self.errors, &path.member(name), days, 30)).saturating_mul(DAY_MS)
        };
        let original_ms = days("unknown_original_days", ledger.unknown_original_days);
        let rate_ms = days("unknown_rate_days", ledger.unknown_rate_days);
        let click = path.member("unknown_click_seconds");
        let click_ms =
            u64::from(whole(self.errors, &click, ledger.unknown_click_seconds, 60)).saturating_mul(SECOND_MS);
        let matching =
            ledger.matching.and_then(|matching| self.matching(&path.member("matching"), &matching));
        let retention = self.retention();
        let salts = self.salts();
        let admin = self.admin();
        let agreements = self.agreements(&salts);
        Some(Rules {
            campaigns,
            redirect,
            report_currency: report_currency?,
            patience: Patience { click_ms, original_ms, rate_ms },
            matching,
            retention,
            salts,
            admin,
            agreements,
        })
    }

    fn matching(&mut self, path: &Path<'_>, matching: &written::Matching) -> Option<Matcher> {
        let threshold = path.member("threshold_permille");
        let window = path.member("window_seconds");
        let threshold = whole(self.errors, &threshold, matching.threshold_permille, 800);
        let window_ms =
            u64::from(whole(self.errors, &window, matching.window_seconds, 86_400)).saturating_mul(SECOND_MS);
        let matcher =
            Matcher::new(Weights::default(), u16::try_from(threshold).unwrap_or(u16::MAX), window_ms);
        // Within the ranges of the two members there is no such problem.
        matcher.map_err(|problem| self.errors.add(path, "cannot be followed", problem.as_str())).ok()
    }

    fn campaigns(&mut self) -> BTreeMap<String, Campaign> {
        let path = Path::Root.member("campaigns");
        let mut campaigns = BTreeMap::new();
        let written = self.document.campaigns.iter().flatten();
        count(self.errors, &path, self.document.campaigns.as_ref().map_or(0, BTreeMap::len), CAMPAIGNS_MAX);
        for (name, campaign) in written {
            let path = path.member(name);
            let named =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
            if !(1..=64).contains(&name.len()) || !name.bytes().all(named) {
                self.errors.add(
                    &path,
                    "is no name of a campaign",
                    "name it with 1 to 64 of a-z, 0-9, _ and -",
                );
            }
            self.known_partner(&path.member("partner"), &campaign.partner);
            let parameter = campaign.parameter.clone().unwrap_or_else(|| "click_id".to_string());
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
            if !(1..=64).contains(&parameter.len()) || !parameter.bytes().all(allowed) {
                let remedy = "write 1 to 64 letters, digits, '.', '_' and '-'";
                self.errors.add(&path.member("parameter"), "is no name of a query parameter", remedy);
            }
            self.landing(&path.member("landing"), &campaign.landing, &parameter);
            let campaign = Campaign {
                partner: campaign.partner.clone(),
                landing: campaign.landing.clone(),
                parameter,
                click_id: campaign.click_id.unwrap_or_default(),
            };
            campaigns.insert(name.clone(), campaign);
        }
        campaigns
    }

    fn known_partner(&mut self, path: &Path<'_>, name: &str) {
        let written = self.document.partners.as_ref().is_some_and(|partners| partners.contains_key(name));
        let built_in = self.document.environment == Environment::Sandbox && name == sandbox::PARTNER;
        if !written && !built_in {
            self.errors.add(path, format!("is {name:?}, which is no partner"), "name one of `partners`");
        }
    }

    /// A landing page is written into a header field, and the browser goes there: nothing else may be in it.
    fn landing(&mut self, path: &Path<'_>, landing: &str, parameter: &str) {
        let remedy = "write an absolute URL, like \"https://casino.example/welcome?lang=en\"";
        let rest = match (landing.strip_prefix("https://"), self.document.environment) {
            (Some(rest), _) => Some(rest),
            (None, Environment::Sandbox) => landing.strip_prefix("http://"),
            (None, Environment::Production) => None,
        };
        let Some(rest) = rest else {
            self.errors.add(path, "is no https URL", remedy);
            return;
        };
        if landing.len() > LANDING_BYTES_MAX {
            self.errors.add(path, format!("is longer than {LANDING_BYTES_MAX} bytes"), "shorten it");
        }
        let authority = rest.split(['/', '?']).next().unwrap_or("");
        let host_byte =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
        if authority.is_empty() || !authority.bytes().all(host_byte) {
            self.errors.add(path, "has no plain host name", remedy);
        } else if landing.contains('#') {
            let problem = "has a fragment, behind which the click id would not reach the operator";
            self.errors.add(path, problem, "leave the part from '#' on out");
        } else if !landing
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\'))
        {
            self.errors.add(path, "has a character that no URL has", "percent-encode it");
        }
        let query = landing.split_once('?').map_or("", |(_, query)| query);
        if query.split('&').any(|pair| pair.split('=').next() == Some(parameter)) {
            let problem = format!("has the parameter {parameter:?} already");
            self.errors.add(path, problem, "leave it out: the redirector adds it with the click id");
        }
    }

    fn redirect(&mut self) -> Redirect {
        let written = self.document.redirect.clone().unwrap_or_default();
        let path = Path::Root.member("redirect");
        let geo_header = written.geo_header.map(|name| name.to_ascii_lowercase());
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if geo_header
            .as_ref()
            .is_some_and(|name| !(1..=64).contains(&name.len()) || !name.bytes().all(allowed))
        {
            let remedy = "write 1 to 64 letters, digits and '-', like \"cf-ipcountry\"";
            self.errors.add(&path.member("geo_header"), "is no name of a header", remedy);
        }
        Redirect { durability: written.durability.unwrap_or_default(), geo_header }
    }

    fn currency(&mut self, path: &Path<'_>, code: &str) -> Option<Currency> {
        let currency = Currency::of(code);
        if currency.is_none() {
            let remedy = match Currency::of(&code.to_ascii_uppercase()) {
                Some(currency) => format!("write \"{}\"", currency.code()),
                None => "write an ISO 4217 code, like \"EUR\"".into(),
            };
            self.errors.add(path, "is no currency", remedy);
        }
        currency
    }

    fn money(&mut self, path: &Path<'_>, money: &written::Money) -> Option<Amount> {
        let currency = self.currency(&path.member("currency"), &money.currency)?;
        let plain = money.amount.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let amount = Amount::parse(&money.amount, currency).ok().filter(|_| plain);
        if amount.is_none() {
            let remedy = format!(
                "write a number with a point and at most {} decimals for {}, not negative, like \"10\"",
                currency.decimals(),
                currency.code()
            );
            self.errors.add(&path.member("amount"), "is no amount", remedy);
        }
        amount
    }

    fn retention(&mut self) -> Retention {
        let privacy = Path::Root.member("privacy");
        let path = privacy.member("retention");
        let written =
            self.document.privacy.as_ref().and_then(|privacy| privacy.retention).unwrap_or_default();
        let errors = &mut *self.errors;
        let raw_days = whole(errors, &path.member("raw_days"), written.raw_days, 400);
        let clicks_days = whole(errors, &path.member("clicks_days"), written.clicks_days, 400);
        let rejections_days = whole(errors, &path.member("rejections_days"), written.rejections_days, 90);
        let ledger_days = whole(errors, &path.member("ledger_days"), written.ledger_days, 3_650);
        // By its entries a player's payloads and clicks are found, when they are to be erased.
        let least = raw_days.max(clicks_days);
        if ledger_days < least {
            let remedy = format!("write at least {least}, or shorten raw_days and clicks_days");
            errors.add(&path.member("ledger_days"), "is shorter than raw_days or clicks_days", remedy);
        }
        let ms = |days: u32| u64::from(days).saturating_mul(DAY_MS);
        Retention {
            raw_ms: ms(raw_days),
            clicks_ms: ms(clicks_days),
            rejections_ms: ms(rejections_days),
            ledger_ms: ms(ledger_days),
        }
    }

    fn salts(&mut self) -> Vec<Key<MacKey>> {
        let Some(salt) = self.document.privacy.as_ref().and_then(|privacy| privacy.salt.as_ref()) else {
            return Vec::new();
        };
        let path = Path::Root.member("privacy");
        let path = path.member("salt");
        let lone = salt.lone();
        let (lone, list) = ((&path, lone.as_ref()), salt.keys.as_deref());
        let keys = own_keys(self.errors, &mut self.secrets, &path, lone, list);
        keys.into_iter().map(|key| key.prepared(|secret| MacKey::new(&secret))).collect()
    }

    fn admin(&mut self) -> TokenPolicy {
        let opaque = match (&self.document.admin, self.document.environment) {
            (Some(admin), _) => {
                let path = Path::Root.member("admin");
                let (owner, mut ids, mut known) = (Arc::from("admin"), Vec::new(), BTreeMap::new());
                let path = path.member("tokens");
                opaque_tokens(
                    self.errors,
                    &path,
                    self.document.environment,
                    &owner,
                    &admin.tokens,
                    &mut ids,
                    &mut known,
                )
            }
            (None, Environment::Sandbox) => vec![sandbox::admin_token()],
            (None, Environment::Production) => Vec::<OpaqueToken>::new(),
        };
        TokenPolicy {
            issuer: Box::from(""),
            audience: Box::from(""),
            lifetime_ms_max: 0,
            keys: Vec::new(),
            opaque,
        }
    }

    fn agreements(&mut self, salts: &[Key<MacKey>]) -> BTreeMap<String, Agreement> {
        let path = Path::Root.member("partners");
        let mut agreements = BTreeMap::new();
        for (name, partner) in self.document.partners.iter().flatten() {
            let path = path.member(name);
            let contract =
                self.contract(&path.member("contract"), partner.contract.as_deref().unwrap_or_default());
            let minimise = partner
                .privacy
                .as_ref()
                .map(|minimise| self.minimise(&path.member("privacy"), minimise, salts));
            agreements.insert(name.clone(), Agreement { contract, minimise });
        }
        agreements
    }

    fn contract(&mut self, path: &Path<'_>, contract: &[written::Terms]) -> Vec<Terms> {
        count(self.errors, path, contract.len(), TERMS_MAX);
        let mut latest = None;
        let mut compiled = Vec::new();
        for (index, terms) in contract.iter().enumerate() {
            let path = path.element(index);
            let from_path = path.member("from");
            let from = timestamp(self.errors, &from_path, &terms.from);
            if from.is_some() && from <= latest {
                let problem = "is not later than that of the terms before";
                self.errors.add(&from_path, problem, "write the terms in the order of their dates, one each");
            }
            latest = from.or(latest);
            let mut money = |name: &str, money: &Option<written::Money>| {
                money.as_ref().and_then(|money| self.money(&path.member(name), money))
            };
            let ftd_min_deposit = money("ftd_min_deposit", &terms.ftd_min_deposit);
            let cpa = money("cpa", &terms.cpa);
            let window = terms.ftd_window_days.map(|days| {
                let days = whole(self.errors, &path.member("ftd_window_days"), Some(days), 30);
                u64::from(days).saturating_mul(DAY_MS)
            });
            let share = path.member("revenue_share_percent");
            let revenue_share_bp =
                terms.revenue_share_percent.as_deref().map_or(0, |text| self.share(&share, text));
            compiled.extend(from.map(|from| Terms {
                from,
                ftd_min_deposit,
                ftd_window_ms: window,
                ftd_kyc: terms.ftd_kyc.unwrap_or_default(),
                cpa,
                revenue_share_bp,
                probable: terms.probable.unwrap_or_default(),
            }));
        }
        compiled
    }

    /// A percentage with at most two decimals, in hundredths of a percent.
    fn share(&mut self, path: &Path<'_>, text: &str) -> u32 {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str, most: usize| {
            (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        let share = (digits(whole, 3) && digits(fraction, 2)).then(|| {
            let tens = if fraction.len() == 1 { 10 } else { 1 };
            let fraction = fraction.parse::<u32>().unwrap_or(0).saturating_mul(tens);
            whole.parse::<u32>().unwrap_or(0).saturating_mul(100).saturating_add(fraction)
        });
        match share.filter(|share| *share <= 10_000) {
            Some(share) => share,
            None => {
                let remedy = "write a number from 0 to 100 as text, with at most two decimals, like \"25\" or \"12.5\"";
                self.errors.add(path, "is no percentage", remedy);
                0
            }
        }
    }

    fn minimise(
        &mut self,
        path: &Path<'_>,
        written: &written::Minimise,
        salts: &[Key<MacKey>],
    ) -> minimise::MinimiseRules {
        let list = |names: &[String]| names.iter().map(|name| Box::from(name.as_str())).collect();
        let rules = minimise::MinimiseRules {
            keep: written.keep.as_deref().map(list),
            hash: list(written.hash.as_deref().unwrap_or_default()),
            truncate: list(written.truncate.as_deref().unwrap_or_default()),
            salts: salts.to_vec(),
            signature: None,
        };
        if let Err(error) = rules.check() {
            let problem = match error.mistake {
                MinimiseMistake::TooMany => "is one too many",
                MinimiseMistake::Signature => "is the signature",
                MinimiseMistake::Needed => "is what an event is posted by",
                MinimiseMistake::Twice => "is named before",
                MinimiseMistake::SaltMissing => "needs `privacy.salt`, which the document lacks",
            };
            let list = path.member(error.list);
            self.errors.add(&list.element(error.index), problem, error.mistake.as_str());
        }
        rules
    }
}
