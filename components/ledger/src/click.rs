//! The redirector (source §2): where a click is sent on to, and what is logged of it.
//!
//! Nothing that the visitor sends decides where the visitor goes: the landing page is the campaign's, byte for byte, with the
//! click id behind it. What the visitor sends is read within named limits, and of it only what is listed here is kept.

mod query;
mod visitor;

use alloc::borrow::ToOwned as _;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::net::IpAddr;

use countersign_core::click;
use countersign_core::document::ConfigError;
use countersign_core::headers::Headers;
use countersign_core::keys;
use countersign_core::policy::Minting;
use countersign_core::text::Text;
use countersign_core::time::Timestamp;

use crate::document::CampaignClick;
use crate::rules::{self, Campaign, Redirect};

pub use self::query::{PARAMETERS, PARAMETERS_READ_MAX, Parameters, QUERY_BYTES_MAX, VALUE_BYTES_MAX};
pub use self::visitor::{Kind, Visitor};

/// Path of every campaign, before its name.
pub const PATH: &str = "/c/";

const DAY_MS: u64 = 86_400_000;

/// What the redirector follows, validated.
#[derive(Debug)]
pub struct Redirector {
    /// Where clicks are sent on to, by name.
    pub campaigns: BTreeMap<String, Campaign>,
    /// How they are redirected and logged.
    pub redirect: Redirect,
    /// How their ids are minted, and whose word for a client's address is taken.
    pub minting: Minting,
}

/// A request, as far as the redirector reads it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// Path and query as they stand on the wire.
    pub path: &'a str,
    /// Header fields.
    pub headers: Headers<'a>,
    /// Whoever opened the connection.
    pub peer: Option<IpAddr>,
}

/// Random bytes for one click, from the host's secure source.
#[derive(Clone, Copy)]
pub struct Random {
    /// What tells clicks of one millisecond apart.
    pub id: [u8; 8],
    /// The nonce of a sealed id.
    pub nonce: [u8; 24],
}

/// A request that is sent on.
#[derive(Debug)]
pub struct Redirected {
    /// The landing page with the click id.
    pub location: String,
    /// What is to be stored.
    pub click: Click,
}

/// A click, as it is stored.
#[derive(Debug)]
pub struct Click {
    /// The plain click id.
    pub click_id: Text<{ click::LENGTH }>,
    /// The campaign's name.
    pub campaign: String,
    /// Whose landing page it was.
    pub partner: String,
    /// When it happened: what the id says too.
    pub clicked_at: Timestamp,
    /// What the query said.
    pub parameters: Parameters,
    /// What is known of the visitor.
    pub visitor: Visitor,
}

/// Why a request is not sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Neither `GET` nor `HEAD`.
    MethodNotAllowed,
    /// No campaign of that name.
    CampaignUnknown,
    /// No key of click ids is valid yet: the clock is wrong. [`Redirector::compile`] refuses a document without any key.
    NoKey,
}

impl Redirector {
    /// Compiles the redirector's part of a document, with the secrets that the host resolves: those of click ids, no others.
    ///
    /// # Errors
    /// Every mistake in the shape of the document and in this part, each with its path and with what to write instead.
    pub fn compile(
        json: &str,
        secrets: &mut dyn FnMut(&str) -> Option<Vec<u8>>,
    ) -> Result<Self, Vec<ConfigError>> {
        let minting = Minting::compile(json, secrets)?;
        let (campaigns, redirect) = rules::redirects(json)?;
        if minting.keys.is_empty() && !campaigns.is_empty() {
            return Err(vec![ConfigError {
                path: "click_id.keys".to_owned(),
                problem: "has no key to mint the click ids of `campaigns` with".to_owned(),
                remedy: "write { \"id\": …, \"secret\": { \"name\": … } }".to_owned(),
            }]);
        }
        Ok(Self { campaigns, redirect, minting })
    }

    /// The name of every secret that [`Redirector::compile`] will ask for.
    ///
    /// # Errors
    /// Every mistake in the shape of the document.
    pub fn secret_names(json: &str) -> Result<Vec<String>, Vec<ConfigError>> {
        Minting::secret_names(json)
    }

    /// Where a request is sent on to, and what is logged of it.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing is stored then.
    pub fn answer(
        &self,
        request: &Request<'_>,
        now: Timestamp,
        random: Random,
    ) -> Result<Redirected, Refusal> {
        if !matches!(request.method, "GET" | "HEAD") {
            return Err(Refusal::MethodNotAllowed);
        }
        let (path, query) = request.path.split_once('?').unwrap_or((request.path, ""));
        let (name, campaign) = path
            .strip_prefix(PATH)
            .and_then(|name| self.campaigns.get_key_value(name))
            .ok_or(Refusal::CampaignUnknown)?;
        let key = keys::current(&self.minting.keys, now).ok_or(Refusal::NoKey)?;
        let click_id = click::mint(key, now, random.id);
        let location = match campaign.click_id {
            CampaignClick::Plain => campaign.landing_with(click_id.as_str()),
            CampaignClick::Sealed => {
                campaign.landing_with(click::seal(key, now, random.id, random.nonce).as_str())
            }
        };
        let parameters = Parameters::read(query);
        let has_consent = parameters.consent_analytics == Some(true);
        let click = Click {
            click_id,
            campaign: name.clone(),
            partner: campaign.partner.clone(),
            clicked_at: now,
            visitor: Visitor::of(request, &self.minting.trusted_proxies, &self.redirect, has_consent),
            parameters,
        };
        Ok(Redirected { location, click })
    }
}

impl Campaign {
    /// The landing page, byte for byte, with the click id as its last parameter.
    #[must_use]
    pub fn landing_with(&self, click_id: &str) -> String {
        let separator = match self.landing.split_once('?') {
            None => "?",
            Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
            Some(_) => "&",
        };
        [&self.landing, separator, &self.parameter, "=", click_id].concat()
    }
}

impl Click {
    /// Whether it counts as a click of a person.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.visitor.kind == Kind::Click
    }

    /// The columns that hold the beginning of a longer value; `query` where not all of the query was read.
    #[must_use]
    pub fn cut(&self) -> Vec<&'static str> {
        let referrer = self.visitor.referrer_host.as_ref().filter(|(_, is_cut)| *is_cut);
        self.parameters.cut.iter().copied().chain(referrer.map(|_| "referrer_host")).collect()
    }

    /// The day of the click in UTC, counted from 1970-01-01.
    #[must_use]
    pub const fn day(&self) -> u64 {
        self.clicked_at.as_ms() / DAY_MS
    }

    /// One line of JSON for a log, without anything personal: `code` says what became of the click. Every word in it is one of the
    /// configuration or of this program.
    #[must_use]
    pub fn to_json(&self, code: &str) -> String {
        let mut line = String::new();
        // Writing to a `String` cannot fail.
        let _written = write!(
            line,
            r#"{{"code":"{code}","campaign":"{}","partner":"{}","kind":"{}","counted":{}"#,
            self.campaign,
            self.partner,
            self.visitor.kind.as_str(),
            self.is_counted()
        );
        for (name, parameters) in [
            ("unreplaced", &self.parameters.unreplaced),
            ("personal", &self.parameters.personal),
            ("joined", &self.parameters.joined),
            ("cut", &self.cut()),
        ] {
            if !parameters.is_empty() {
                let _written = write!(line, r#","{name}":["{}"]"#, parameters.join(r#"",""#));
            }
        }
        line.push('}');
        line
    }
}

impl Refusal {
    /// The stable name, as in answers and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MethodNotAllowed => "method_not_allowed",
            Self::CampaignUnknown => "campaign_unknown",
            Self::NoKey => "internal_error",
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::MethodNotAllowed => 405,
            Self::CampaignUnknown => 404,
            Self::NoKey => 503,
        }
    }

    /// What the visitor can do about it.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::MethodNotAllowed => "open the link with GET",
            Self::CampaignUnknown => "check the campaign's name in the link: /c/{campaign}",
            Self::NoKey => "the redirector is misconfigured; try again later",
        }
    }
}

impl core::fmt::Debug for Random {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Random(secret)")
    }
}
