//! Inputs near others: what a fuzzer does without knowing what it hits, seeded, so that a failure can be repeated.

/// Makes inputs from inputs.
///
/// ```
/// let corpus = [b"one".to_vec(), b"another".to_vec()];
/// let (mut one, mut same) = (fuzz::Mutator::new(7), fuzz::Mutator::new(7));
/// for _ in 0..100 {
///     assert_eq!(one.next(&corpus), same.next(&corpus));
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Mutator(u64);

impl Mutator {
    /// One that makes the same inputs as every other one with this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        // The state must not be 0.
        Self(seed ^ 0x9e37_79b9_7f4a_7c15 | 1)
    }

    /// The next input: one of these, changed 1 to 8 times.
    pub fn next(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = corpus.get(self.below(corpus.len())).cloned().unwrap_or_default();
        for _ in 0..=self.below(8) {
            self.change(&mut input, corpus);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(input.len());
        match self.below(9) {
            0 => {
                if let Some(octet) = input.get_mut(at) {
                    *octet ^= 1 << self.below(8);
                }
            }
            1 => {
                let value = INTERESTING[self.below(INTERESTING.len())];
                if let Some(octet) = input.get_mut(at) {
                    *octet = value;
                }
            }
            2 => {
                let value = self.octet();
                if let Some(octet) = input.get_mut(at) {
                    *octet = octet.wrapping_add(value % 16).wrapping_sub(8);
                }
            }
            3 => input.truncate(at),
            4 => {
                let end = (at + 1 + self.below(8)).min(input.len());
                input.drain(at..end);
            }
            5 => {
                let value = self.octet();
                input.splice(at..at, std::iter::repeat_n(value, 1));
            }
            6 => {
                let end = (at + 1 + self.below(32)).min(input.len());
                let part = input[at..end].to_vec();
                let to = self.below(input.len() + 1);
                input.splice(to..to, part);
            }
            7 => {
                let other = corpus.get(self.below(corpus.len())).cloned().unwrap_or_default();
                let from = self.below(other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => {
                let value = self.octet();
                input.push(value);
            }
        }
    }

    /// Below a number, or 0.
    fn below(&mut self, number: usize) -> usize {
        let number = u64::try_from(number.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.random() % number).unwrap_or(0)
    }

    fn octet(&mut self) -> u8 {
        self.random().to_be_bytes()[3]
    }

    /// Marsaglia's xorshift.
    fn random(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

const INTERESTING: [u8; 12] = [0, 1, 2, 3, 4, 8, 16, 0x7f, 0x80, 0xfe, 0xff, b'{'];

const LONGEST: usize = 8192;
