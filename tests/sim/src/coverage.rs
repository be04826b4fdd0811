//! Which cells of the state table were visited: event × role × version × preemption × tie.

use lvs_core::Role;
use lvs_vrrp::Version;

/// A row of the state table (conformance list, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// VR-110.
    StartOfOwner,
    /// VR-111.
    Start,
    /// VR-112.
    Stop,
    /// VR-113, VR-114, and the next attempt after a failed claim.
    Timer,
    /// VR-115.
    Resignation,
    /// VR-116.
    Higher,
    /// VR-117.
    EqualHigher,
    /// VR-118.
    EqualLower,
    /// VR-119.
    EqualSame,
    /// VR-120, VR-121.
    Lower,
    /// VR-122.
    Refused,
    /// VR-123, VR-124.
    Priority,
    /// E14.
    Interval,
    /// VR-123.
    Address,
    /// VR-125.
    Fault,
    /// VR-127, VR-128.
    Held,
    /// VR-126.
    Open,
    /// The addresses are there.
    Claimed,
    /// The addresses are not there.
    Unclaimed,
}

impl Happening {
    /// All rows.
    pub const ALL: [Self; 19] = [
        Self::StartOfOwner,
        Self::Start,
        Self::Stop,
        Self::Timer,
        Self::Resignation,
        Self::Higher,
        Self::EqualHigher,
        Self::EqualLower,
        Self::EqualSame,
        Self::Lower,
        Self::Refused,
        Self::Priority,
        Self::Interval,
        Self::Address,
        Self::Fault,
        Self::Held,
        Self::Open,
        Self::Claimed,
        Self::Unclaimed,
    ];
}

/// One cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The row.
    pub happening: Happening,
    /// The column.
    pub role: Role,
    /// The version that the router speaks.
    pub version: Version,
    /// Whether it ever takes over from a lower master.
    pub preempts: bool,
    /// Whether the two best routers of its network have the same priority.
    pub is_tie: bool,
}

impl Cell {
    fn index(self) -> usize {
        let role = match self.role {
            Role::Initialize => 0,
            Role::Backup => 1,
            Role::Master => 2,
            Role::Fault => 3,
        };
        let version = usize::from(self.version == Version::V3);
        let rest = (version * 2 + usize::from(self.preempts)) * 2 + usize::from(self.is_tie);
        (self.happening as usize * 4 + role) * 8 + rest
    }

    /// Whether there is such a cell: no addresses are claimed in Initialize.
    #[must_use]
    pub fn is_possible(self) -> bool {
        !matches!((self.happening, self.role), (Happening::Claimed | Happening::Unclaimed, Role::Initialize))
    }
}

/// How often each cell was visited.
#[derive(Clone, Debug)]
pub struct Coverage(Vec<u64>);

impl Coverage {
    /// None was.
    #[must_use]
    pub fn new() -> Self {
        Self(vec![0; CELLS])
    }

    /// One more visit.
    pub fn visit(&mut self, cell: Cell) {
        if let Some(count) = self.0.get_mut(cell.index()) {
            *count += 1;
        }
    }

    /// Those of another run as well.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(&other.0) {
            *count += more;
        }
    }

    /// How many of the possible cells were visited, how many there are, and those that were not.
    #[must_use]
    pub fn summary(&self) -> (usize, usize, Vec<Cell>) {
        let possible: Vec<Cell> = cells().filter(|cell| cell.is_possible()).collect();
        let missing: Vec<Cell> =
            possible.iter().copied().filter(|cell| self.0.get(cell.index()) == Some(&0)).collect();
        (possible.len() - missing.len(), possible.len(), missing)
    }
}

impl Default for Coverage {
    fn default() -> Self {
        Self::new()
    }
}

fn cells() -> impl Iterator<Item = Cell> {
    Happening::ALL.into_iter().flat_map(|happening| {
        [Role::Initialize, Role::Backup, Role::Master, Role::Fault].into_iter().flat_map(move |role| {
            (0..8).map(move |bits| Cell {
                happening,
                role,
                version: if bits & 4 == 0 { Version::V2 } else { Version::V3 },
                preempts: bits & 2 != 0,
                is_tie: bits & 1 != 0,
            })
        })
    })
}

const CELLS: usize = Happening::ALL.len() * 4 * 8;
