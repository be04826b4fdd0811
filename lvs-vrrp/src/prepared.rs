//! An advert that is made once and sent many times: only what changes is changed, and the checksum with it.

use crate::checksum::Sum;
use crate::endpoints::Endpoints;
use crate::ipv4::{HEADER_LEN, Ipv4Header};
use crate::packet::{Advert, CHECKSUM_FIELD};
use crate::types::{Advertised, ChecksumForm};

/// The octets of an advert, ready to be sent again and again: to each of several peers, or with another
/// priority. A change costs some additions, whatever the number of addresses (RFC 1624), and never allocates.
///
/// ```
/// use std::net::Ipv4Addr;
/// use lvs_vrrp::{Advert, Advertised, Endpoints, Interval, PreparedAdvert, Vrid};
///
/// let vips = [Ipv4Addr::new(10, 0, 0, 100)];
/// let advert = Advert::new(Vrid::new(51)?, Advertised::from_octet(150), Interval::centis(100)?, &vips)?;
/// let to_peer = |last| Endpoints::v4([10, 0, 0, 1].into(), [10, 0, 0, last].into());
/// let mut prepared = PreparedAdvert::new(&advert, &to_peer(2), 255);
/// assert!(Advert::parse(prepared.message(), &to_peer(2)).is_ok());
///
/// assert!(prepared.set_endpoints(&to_peer(3)));
/// prepared.set_advertised(Advertised::Resigning);
/// let advert = Advert::parse(prepared.message(), &to_peer(3)).expect("a good checksum");
/// assert_eq!(advert.advertised(), Advertised::Resigning);
/// assert_eq!(prepared.datagram().len(), 20 + 12); // with the header of IPv4
/// # Ok::<(), lvs_vrrp::OutOfRange>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedAdvert {
    /// The datagram: in IPv4 with its header.
    octets: Vec<u8>,
    /// Where in it the message begins.
    message: usize,
    endpoints: Endpoints,
    checksum: ChecksumForm,
}

impl PreparedAdvert {
    /// Prepares an advert. The TTL stands in the header of IPv4; in IPv6 a socket is told the hop limit.
    ///
    /// The endpoints are of the family of the advert's addresses, as for [`Advert::write_to`].
    #[must_use]
    pub fn new(advert: &Advert<'_>, endpoints: &Endpoints, ttl: u8) -> Self {
        let mut octets = Vec::new();
        let message = match *endpoints {
            Endpoints::V4 { source, destination } => {
                let header = Ipv4Header { source, destination, ttl };
                octets.extend_from_slice(&header.octets(advert.wire_len()));
                HEADER_LEN
            }
            Endpoints::V6 { .. } => 0,
        };
        octets.resize(message + advert.wire_len(), 0);
        if let Some(place) = octets.get_mut(message..) {
            advert.fill(endpoints, place);
        }
        Self { octets, message, endpoints: *endpoints, checksum: advert.checksum() }
    }

    /// The message alone: the payload of protocol 112.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        self.octets.get(self.message..).unwrap_or_default()
    }

    /// What a raw socket takes: in IPv4 header and message (`IP_HDRINCL`), in IPv6 the message alone.
    #[must_use]
    pub fn datagram(&self) -> &[u8] {
        &self.octets
    }

    /// Between whom it travels.
    #[must_use]
    pub const fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Makes it say this from now on.
    pub fn set_advertised(&mut self, advertised: Advertised) {
        // The priority is the first octet of a word of 16 bits.
        if let Some((_, [_, _, priority, ..])) = self.octets.split_at_mut_checked(self.message) {
            let before = Sum::of(&[*priority]);
            *priority = advertised.octet();
            self.patch(before, Sum::of(&[advertised.octet()]));
        }
    }

    /// Sends it between these from now on; `false`, and nothing is changed, if they are of the other family.
    #[must_use]
    pub fn set_endpoints(&mut self, endpoints: &Endpoints) -> bool {
        match (*endpoints, self.endpoints) {
            (Endpoints::V4 { source, destination }, Endpoints::V4 { .. }) => {
                if let Some(places) = self.octets.get_mut(Ipv4Header::ADDRESSES) {
                    let (places, _) = places.as_chunks_mut::<4>();
                    places.iter_mut().zip([source, destination]).for_each(|(to, from)| *to = from.octets());
                }
            }
            (Endpoints::V6 { .. }, Endpoints::V6 { .. }) => {}
            (Endpoints::V4 { .. }, Endpoints::V6 { .. }) | (Endpoints::V6 { .. }, Endpoints::V4 { .. }) => {
                return false;
            }
        }
        let sums = match (self.checksum, self.endpoints, *endpoints) {
            (ChecksumForm::MessageOnly, ..) => None,
            (ChecksumForm::PseudoHeader, before, after) => {
                Some((Sum::of_addresses(&before), Sum::of_addresses(&after)))
            }
            // The destination in the pseudo-header is always the group.
            (ChecksumForm::OldUnicast, before, after) => {
                Some((Sum::of_source(&before), Sum::of_source(&after)))
            }
        };
        if let Some((before, after)) = sums {
            self.patch(before, after);
        }
        self.endpoints = *endpoints;
        true
    }

    /// RFC 1624 §3, equation 3.
    fn patch(&mut self, before: Sum, after: Sum) {
        let message = self.octets.get_mut(self.message..);
        let field = message.and_then(|message| message.get_mut(CHECKSUM_FIELD));
        if let Some(field) = field.and_then(|field| field.first_chunk_mut::<2>()) {
            *field = Sum::of_field(*field).minus(before).plus(after).field();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::types::{Authentication, Interval, Vrid};

    fn written(advert: &Advert<'_>, endpoints: &Endpoints) -> Vec<u8> {
        let mut packet = Vec::new();
        advert.write_to(endpoints, &mut packet);
        packet
    }

    fn check(
        addresses: crate::AddressList<'_>,
        interval: Interval,
        form: ChecksumForm,
        steps: &[(u8, Endpoints)],
    ) -> Result<(), TestCaseError> {
        let advert = |octet| {
            let advert =
                Advert::new(Vrid::new(51).unwrap(), Advertised::from_octet(octet), interval, addresses);
            advert.unwrap().with_checksum(form)
        };
        let (first, rest) = steps.split_first().unwrap();
        let mut prepared = PreparedAdvert::new(&advert(first.0), &first.1, 255);
        prop_assert_eq!(prepared.message(), written(&advert(first.0), &first.1));
        for (octet, endpoints) in rest {
            prop_assert!(prepared.set_endpoints(endpoints));
            prepared.set_advertised(Advertised::from_octet(*octet));
            prop_assert_eq!(prepared.message(), written(&advert(*octet), endpoints));
            // To the octet what preparing it anew gives, header included.
            prop_assert_eq!(&prepared, &PreparedAdvert::new(&advert(*octet), endpoints, 255));
        }
        Ok(())
    }

    fn any_form() -> impl Strategy<Value = ChecksumForm> {
        prop_oneof![
            Just(ChecksumForm::PseudoHeader),
            Just(ChecksumForm::MessageOnly),
            Just(ChecksumForm::OldUnicast)
        ]
    }

    proptest! {
        #[test]
        fn a_change_is_the_same_as_writing_it_anew_in_ipv4(
            vips in proptest::collection::vec(any::<[u8; 4]>().prop_map(Ipv4Addr::from), 1..30),
            steps in proptest::collection::vec(any::<(u8, [u8; 4], [u8; 4])>(), 1..20),
            form in any_form(),
            is_v2: bool,
        ) {
            // VR-046.
            let interval = if is_v2 { Interval::seconds(1) } else { Interval::centis(100) }.unwrap();
            let steps: Vec<_> = steps.into_iter()
                .map(|(octet, source, group)| (octet, Endpoints::v4(source.into(), group.into())))
                .collect();
            check((&vips).into(), interval, form, &steps)?;
        }

        #[test]
        fn a_change_is_the_same_as_writing_it_anew_in_ipv6(
            vips in proptest::collection::vec(any::<[u8; 16]>().prop_map(Ipv6Addr::from), 1..30),
            steps in proptest::collection::vec(any::<(u8, [u8; 16], [u8; 16])>(), 1..20),
            form in any_form(),
        ) {
            // VR-046.
            let steps: Vec<_> = steps.into_iter()
                .map(|(octet, source, group)| (octet, Endpoints::v6(source.into(), group.into())))
                .collect();
            check((&vips).into(), Interval::centis(100).unwrap(), form, &steps)?;
        }
    }

    #[test]
    fn endpoints_of_the_other_family_change_nothing() {
        let vips = [Ipv4Addr::new(10, 0, 0, 100)];
        let interval = Interval::seconds(1).unwrap();
        let advert = Advert::new(Vrid::new(1).unwrap(), Advertised::Resigning, interval, &vips).unwrap();
        let advert = advert.with_authentication(Authentication::None);
        let endpoints = Endpoints::v4(vips[0], vips[0]);
        let mut prepared = PreparedAdvert::new(&advert, &endpoints, 255);
        let before = prepared.clone();
        assert!(!prepared.set_endpoints(&Endpoints::v6(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST)));
        assert_eq!(prepared, before);
        assert_eq!(prepared.endpoints(), &endpoints);
    }
}
