//! Currencies: the active codes of ISO 4217 that have a minor unit, and how many decimals each has (source §4, §7).

use core::fmt;

/// An active ISO 4217 currency that has a minor unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency {
    code: &'static str,
    decimals: u8,
}

impl Currency {
    /// The currency of a code in upper case, such as `USD`.
    ///
    /// `None` for codes that are withdrawn, and for those without a minor unit (`XAU`, `XTS`, `XXX` and their like): of
    /// these nobody can say how many decimals an amount may have.
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        BY_DECIMALS.iter().find_map(|&(decimals, codes)| {
            let position = codes.binary_search(&code).ok()?;
            Some(Self { code: codes.get(position)?, decimals })
        })
    }

    /// The code: three letters in upper case.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.code
    }

    /// Decimals of an amount: 0, 2, 3 or 4.
    #[must_use]
    pub const fn decimals(self) -> u8 {
        self.decimals
    }

    /// Every currency, grouped by decimals.
    pub fn all() -> impl Iterator<Item = Self> {
        BY_DECIMALS
            .iter()
            .flat_map(|&(decimals, codes)| codes.iter().map(move |&code| Self { code, decimals }))
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code)
    }
}

/// ISO 4217 list one, published 2026-01-01. The commonest group comes first; each is sorted.
const BY_DECIMALS: [(u8, &[&str]); 4] = [(2, TWO), (0, ZERO), (3, THREE), (4, FOUR)];

const TWO: &[&str] = &[
    "AED", "AFN", "ALL", "AMD", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BMD", "BND", "BOB",
    "BOV", "BRL", "BSD", "BTN", "BWP", "BYN", "BZD", "CAD", "CDF", "CHE", "CHF", "CHW", "CNY", "COP", "COU",
    "CRC", "CUP", "CVE", "CZK", "DKK", "DOP", "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL",
    "GHS", "GIP", "GMD", "GTQ", "GYD", "HKD", "HNL", "HTG", "HUF", "IDR", "ILS", "INR", "IRR", "JMD", "KES",
    "KGS", "KHR", "KPW", "KYD", "KZT", "LAK", "LBP", "LKR", "LRD", "LSL", "MAD", "MDL", "MGA", "MKD", "MMK",
    "MNT", "MOP", "MRU", "MUR", "MVR", "MWK", "MXN", "MXV", "MYR", "MZN", "NAD", "NGN", "NIO", "NOK", "NPR",
    "NZD", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "QAR", "RON", "RSD", "RUB", "SAR", "SBD", "SCR", "SDG",
    "SEK", "SGD", "SHP", "SLE", "SOS", "SRD", "SSP", "STN", "SVC", "SYP", "SZL", "THB", "TJS", "TMT", "TOP",
    "TRY", "TTD", "TWD", "TZS", "UAH", "USD", "USN", "UYU", "UZS", "VED", "VES", "WST", "XAD", "XCD", "XCG",
    "YER", "ZAR", "ZMW", "ZWG",
];
const ZERO: &[&str] = &[
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF",
    "XOF", "XPF",
];
const THREE: &[&str] = &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];
const FOUR: &[&str] = &["CLF", "UYW"];
