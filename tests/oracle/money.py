"""Money: the active currencies of ISO 4217 that have a minor unit, and exact decimals."""

from decimal import Decimal, InvalidOperation

_CODES = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
        AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE
        CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD
        HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK
        MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD
        RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH
        USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG
    """,
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
DECIMALS = {code: decimals for decimals, codes in _CODES.items() for code in codes.split()}
MINOR_MAX = 2**63 - 1


class NotAnAmount(Exception):
    """Why a number is not an amount in a currency; a name of docs/answers.md."""


def minor_units(literal, currency):
    """A JSON number in the currency's minor units. Nothing is rounded."""
    try:
        # Multiplied by a power of ten only, so no digit is lost.
        sign, digits, exponent = Decimal(literal).as_tuple()
    except InvalidOperation:
        sign, digits, exponent = 0, (1,), -(10**9) if "e-" in literal.lower() else 10**9
    number = int("".join(map(str, digits)))
    exponent += DECIMALS[currency]
    if number == 0:
        return 0
    while number % 10 == 0:
        number, exponent = number // 10, exponent + 1
    if exponent < 0:
        raise NotAnAmount("amount_decimals")
    if exponent > 19 or number * 10**exponent > MINOR_MAX:
        raise NotAnAmount("amount_too_large")
    return (-1) ** sign * number * 10**exponent
