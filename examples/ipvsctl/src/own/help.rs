//! What `--help` says of the verbs that ipvsadm does not have.

use super::OwnVerb;

/// Behind ipvsadm's own options, in `-h`.
pub(crate) const USAGE: &str = "
Beyond ipvsadm (not under the name ipvsadm; `ipvsctl VERB --help` says more)
  -L ... --json                        any list as JSON; `apply` takes that of the services
  diff FILE                            what `apply FILE` would do; exit status 0: nothing, 1: something
  apply FILE [--dry-run]               makes the kernel's table equal to FILE in the fewest edits
  save [FILE]                          writes the table to FILE, all of it or nothing [/etc/ipvsadm.rules]
  restore [FILE]                       applies FILE, for instance at boot [/etc/ipvsadm.rules]
  watch [SERVICE]...                   live rates and connections
  drain SERVICE -r HOST[:PORT]         takes a server out when its connections have ended
";

impl OwnVerb {
    /// What `VERB --help` says.
    pub(crate) const fn help(self) -> &'static str {
        match self {
            Self::Diff => DIFF,
            Self::Apply => APPLY,
            Self::Restore => RESTORE,
            Self::Save => SAVE,
            Self::Watch => WATCH,
            Self::Drain => DRAIN,
        }
    }
}

const DIFF: &str = "\
ipvsctl diff [--foreign keep|remove] [--json] FILE

Prints the edits that make the kernel's table equal to FILE, in the order in which `apply` makes them, one on a line.

FILE is what `-S` (of ipvsctl or ipvsadm), `save` or `-L --json` wrote, or `-` for standard input. Connection timeouts and
sync daemons are compared where FILE names them.

  --foreign remove     services that FILE does not name are to go [this, if nothing is said]
  --foreign keep       they stay
  --json               {\"edits\": [...]}

Exit status: 0 equal, 1 different, 2 trouble.
";

const APPLY: &str = "\
ipvsctl apply [--dry-run] [--foreign keep|remove] [--allow-empty] [--json] FILE

Makes the kernel's table equal to FILE in the fewest edits, and then prints them. Additions come first and removals last;
weights, schedulers and the like are changed in place, so that connections go on. What is right is not touched.

FILE is what `-S` (of ipvsctl or ipvsadm), `save` or `-L --json` wrote, or `-` for standard input. Connection timeouts and
sync daemons are changed where FILE names them. If anything in FILE is wrong nothing is changed. The edits are made whether
anybody reads the answer or not. Then the table is read again: it may be that somebody else edits it, too.

  --dry-run            prints the edits and makes none
  --foreign remove     services that FILE does not name go [this, if nothing is said]
  --foreign keep       they stay
  --allow-empty        FILE may name no service at all, and so remove all that there are
  --json               {\"edits\": [...]}; an edit that failed has an \"error\"

Exit status: 0 done; 1 an edit failed (the others are made), the table differs from FILE again, or the answer cannot be
written; 2 trouble, and nothing was changed.
";

const RESTORE: &str = "\
ipvsctl restore [--foreign keep|remove] [--allow-empty] [FILE]

Makes the kernel's table equal to FILE, as `apply` does, and prints the number of edits. FILE is /etc/ipvsadm.rules if none
is named. Unlike -R it takes what is there already into account, and its exit status tells whether all went well.

Exit status: 0 done; 1 an edit failed (the others are made), the table differs from FILE again, or the answer cannot be
written; 2 trouble, and nothing was changed.
";

const SAVE: &str = "\
ipvsctl save [--json] [FILE]

Writes all services to FILE as lines that `restore`, -R and ipvsadm -R read. FILE is /etc/ipvsadm.rules if none is named,
and standard output if it is `-`. The new FILE takes the place of the old one in one step once it is on the disk; if that
fails the old one stays. The old one is kept as FILE.old. Where FILE says the same already nothing is written, and neither
where what would be written cannot be read back as the table that it is. Of two calls at once the second waits.

  --json               as JSON, with connection timeouts and sync daemons, which the lines have no words for

Exit status: 0 saved; 1 saved, but the answer cannot be written; 2 trouble, and FILE is as it was.
";

const WATCH: &str = "\
ipvsctl watch [--interval SECONDS] [--count NUMBER] [SERVICE]...

Shows connections and rates of all services and their servers, or of the services named (-t -u --sctp-service -f, as often as
wanted). On a terminal the screen is drawn anew each time, `q` or Ctrl-C ends; otherwise lines are appended.

  --interval SECONDS   between two readings, 0.1 to 3600 [2]; the kernel brings its counters up to date every 2 seconds
  --count NUMBER       ends after so many readings

Appended lines have the seconds since the start, protocol, service, server (`-` for the service itself), weight, active and
inactive connections, and per second: connections, packets in and out, bytes in and out.
";

const DRAIN: &str = "\
ipvsctl drain SERVICE -r HOST[:PORT] [--deadline SECONDS]

Gives a server weight 0, so that it gets no new connections, waits until it has no active ones, and removes it. SERVICE is one of
-t -u --sctp-service -f. Ended early (by a signal, not by who reads its answer) it leaves the server with weight 0. Where the service is persistent, clients that it knows
still come to the server unless the sysctl net.ipv4.vs.expire_quiescent_template is 1.

  --deadline SECONDS   removes it after this time in any case, 0 to 2678400

Exit status: 0 removed; 1 not removed (somebody gave it weight), or the answer cannot be written; 2 trouble.
";
