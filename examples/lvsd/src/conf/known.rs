//! Every keyword that keepalived has (2.4.3), block by block, whether lvsd supports it or not.
//!
//! With it a word that lvsd lacks is told from a word that nobody has, and the nearest right spelling is found.

/// A kind of `{ … }` block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Top,
    GlobalDefs,
    GarpGroup,
    Instance,
    Authentication,
    AuthHmac,
    UnicastPeer,
    VirtualIpaddress,
    SyncGroup,
    TrackGroup,
    Script,
    TrackProcess,
    TrackFile,
    ServerGroup,
    VirtualServer,
    RealServer,
    Ssl,
    TcpCheck,
    HttpGet,
    Url,
    SmtpCheck,
    SmtpHost,
    DnsCheck,
    MiscCheck,
    UdpCheck,
    PingCheck,
    BfdCheck,
    FileCheck,
    Bfd,
    /// Entries that are no keywords (addresses, names, routes), or a block that nobody knows.
    List,
}

impl Kind {
    /// All kinds that have keywords.
    pub(crate) const ALL: [Self; 27] = [
        Self::Top,
        Self::GlobalDefs,
        Self::GarpGroup,
        Self::Instance,
        Self::Authentication,
        Self::AuthHmac,
        Self::SyncGroup,
        Self::TrackGroup,
        Self::Script,
        Self::TrackProcess,
        Self::TrackFile,
        Self::ServerGroup,
        Self::VirtualServer,
        Self::RealServer,
        Self::Ssl,
        Self::TcpCheck,
        Self::HttpGet,
        Self::Url,
        Self::SmtpCheck,
        Self::SmtpHost,
        Self::DnsCheck,
        Self::MiscCheck,
        Self::UdpCheck,
        Self::PingCheck,
        Self::BfdCheck,
        Self::FileCheck,
        Self::Bfd,
    ];

    /// The keyword that opens such a block.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Top => "the top level",
            Self::GlobalDefs => "global_defs",
            Self::GarpGroup => "garp_group",
            Self::Instance => "vrrp_instance",
            Self::Authentication => "authentication",
            Self::AuthHmac => "auth_hmac",
            Self::UnicastPeer => "unicast_peer",
            Self::VirtualIpaddress => "virtual_ipaddress",
            Self::SyncGroup => "vrrp_sync_group",
            Self::TrackGroup => "track_group",
            Self::Script => "vrrp_script",
            Self::TrackProcess => "vrrp_track_process",
            Self::TrackFile => "track_file",
            Self::ServerGroup => "virtual_server_group",
            Self::VirtualServer => "virtual_server",
            Self::RealServer => "real_server",
            Self::Ssl => "SSL",
            Self::TcpCheck => "TCP_CHECK",
            Self::HttpGet => "HTTP_GET",
            Self::Url => "url",
            Self::SmtpCheck => "SMTP_CHECK",
            Self::SmtpHost => "host",
            Self::DnsCheck => "DNS_CHECK",
            Self::MiscCheck => "MISC_CHECK",
            Self::UdpCheck => "UDP_CHECK",
            Self::PingCheck => "PING_CHECK",
            Self::BfdCheck => "BFD_CHECK",
            Self::FileCheck => "FILE_CHECK",
            Self::Bfd => "bfd_instance",
            Self::List => "this block",
        }
    }

    /// What kind of block a keyword opens inside this one.
    pub(crate) fn child(self, keyword: &str) -> Self {
        match (self, keyword) {
            (Self::Top, "global_defs") => Self::GlobalDefs,
            (Self::Top, "garp_group") => Self::GarpGroup,
            (Self::Top, "vrrp_instance") => Self::Instance,
            (Self::Top, "vrrp_sync_group") => Self::SyncGroup,
            (Self::Top, "track_group") => Self::TrackGroup,
            (Self::Top, "vrrp_script") => Self::Script,
            (Self::Top, "vrrp_track_process") => Self::TrackProcess,
            (Self::Top, "track_file" | "vrrp_track_file") => Self::TrackFile,
            (Self::Top, "virtual_server_group") => Self::ServerGroup,
            (Self::Top, "virtual_server") => Self::VirtualServer,
            (Self::Top, "SSL") => Self::Ssl,
            (Self::Top, "bfd_instance") => Self::Bfd,
            (Self::Instance, "authentication") => Self::Authentication,
            (Self::Instance, "auth_hmac") => Self::AuthHmac,
            (Self::Instance, "unicast_peer") => Self::UnicastPeer,
            (Self::Instance, "virtual_ipaddress" | "virtual_ipaddress_excluded") => Self::VirtualIpaddress,
            (Self::VirtualServer, "real_server") => Self::RealServer,
            (Self::RealServer, "TCP_CHECK") => Self::TcpCheck,
            (Self::RealServer, "HTTP_GET" | "SSL_GET") => Self::HttpGet,
            (Self::RealServer, "SMTP_CHECK") => Self::SmtpCheck,
            (Self::RealServer, "DNS_CHECK") => Self::DnsCheck,
            (Self::RealServer, "MISC_CHECK") => Self::MiscCheck,
            (Self::RealServer, "UDP_CHECK") => Self::UdpCheck,
            (Self::RealServer, "PING_CHECK") => Self::PingCheck,
            (Self::RealServer, "BFD_CHECK") => Self::BfdCheck,
            (Self::RealServer, "FILE_CHECK") => Self::FileCheck,
            (Self::HttpGet, "url") => Self::Url,
            (Self::SmtpCheck, "host") => Self::SmtpHost,
            _ => Self::List,
        }
    }

    /// The words keepalived knows in such a block.
    pub(crate) fn words(self) -> impl Iterator<Item = &'static str> {
        let (own, shared) = match self {
            Self::Top => (TOP, ""),
            Self::GlobalDefs => (GLOBAL_DEFS, ""),
            Self::GarpGroup => ("garp_interval gna_interval interface interfaces", ""),
            Self::Instance => (INSTANCE, ""),
            Self::Authentication => ("auth_type auth_pass", ""),
            Self::AuthHmac => ("key active_key anti_replay time_window mode", ""),
            Self::SyncGroup => (SYNC_GROUP, ""),
            Self::TrackGroup => ("group", ""),
            Self::Script => ("script interval timeout weight rise fall user init_fail", ""),
            Self::TrackProcess => (TRACK_PROCESS, ""),
            Self::TrackFile => ("file weight init_file", ""),
            Self::ServerGroup => ("fwmark", ""),
            Self::VirtualServer => (VIRTUAL_SERVER, ""),
            Self::RealServer => (REAL_SERVER, ""),
            Self::Ssl => ("password ca certificate key", ""),
            Self::TcpCheck | Self::PingCheck => ("", CHECKER),
            Self::HttpGet => (HTTP_GET, CHECKER),
            Self::Url => (URL, ""),
            Self::SmtpCheck => ("helo_name host", CHECKER),
            Self::SmtpHost => ("", CHECKER),
            Self::DnsCheck => ("type name", CHECKER),
            Self::MiscCheck => (MISC_CHECK, ""),
            Self::UdpCheck => ("payload require_reply min_reply_length max_reply_length", CHECKER),
            Self::BfdCheck => ("name alpha", ""),
            Self::FileCheck => ("track_file weight", ""),
            Self::Bfd => (BFD, ""),
            Self::UnicastPeer | Self::VirtualIpaddress | Self::List => ("", ""),
        };
        own.split_ascii_whitespace().chain(shared.split_ascii_whitespace())
    }

    /// Whether keepalived knows a word in such a block.
    pub(crate) fn knows(self, word: &str) -> bool {
        self.words().any(|w| w == word)
    }
}

/// The blocks in which keepalived knows a word.
pub(crate) fn homes(word: &str) -> impl Iterator<Item = Kind> + '_ {
    Kind::ALL.into_iter().filter(move |kind| kind.knows(word))
}

/// The candidate that is nearest to a misspelt word, if one is near enough to be meant.
pub(crate) fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    if word.len() > 64 {
        return None;
    }
    let far = (word.chars().count() + 2) / 4;
    candidates
        .map(|candidate| (distance(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= far.clamp(1, 3) && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut older = vec![0; b.len() + 1];
    let mut old: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, y) in b.iter().enumerate() {
            row[j + 1] = (old[j] + usize::from(x != y)).min(old[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                row[j + 1] = row[j + 1].min(older[j - 1] + 1);
            }
        }
        older = std::mem::replace(&mut old, row);
    }
    old.last().copied().unwrap_or_default()
}

const TOP: &str = "net_namespace net_namespace_ipvs namespace_with_ipsets instance use_pid_dir linkbeat_use_polling \
    child_wait_time global_defs linkbeat_interfaces interface_up_down_delays garp_group static_ipaddress \
    static_routes static_rules track_group vrrp_instance vrrp_sync_group vrrp_script vrrp_track_process track_file \
    vrrp_track_file virtual_server_group virtual_server SSL bfd_instance include_check include includer includem \
    includew includeb includea";

const GLOBAL_DEFS: &str = "router_id process_names process_name vrrp_process_name checker_process_name \
    lvs_process_name bfd_process_name tmp_config_directory config_save_dir data_use_instance state_dump_file \
    stats_dump_file json_dump_file json_version iproute_usr_dir iproute_etc_dir umask random_seed startup_script \
    startup_script_timeout shutdown_script shutdown_script_timeout dynamic_interfaces default_interface \
    disable_local_igmp notification_email notification_email_from smtp_server smtp_helo_name smtp_connect_timeout \
    smtp_alert smtp_alert_vrrp smtp_alert_checker no_email_faults no_checker_emails checker_log_all_failures \
    lvs_sync_daemon lvs_timeouts lvs_flush lvs_flush_on_stop lvs_flush_onstop rs_init_notifies nftables_ipvs \
    nftables_ipvs_priority nftables_ipvs_start_fwmark vrrp_version vrrp_mcast_group4 vrrp_mcast_group6 \
    vrrp_garp_master_delay vrrp_garp_master_repeat vrrp_garp_master_refresh vrrp_garp_master_refresh_repeat \
    vrrp_garp_lower_prio_delay vrrp_garp_lower_prio_repeat vrrp_garp_interval vrrp_gna_interval vrrp_min_garp \
    vrrp_garp_extra_if vrrp_vmac_garp_intvl vrrp_down_timer_adverts vrrp_lower_prio_no_advert \
    vrrp_higher_prio_send_advert vrrp_owner_ignore_adverts vrrp_check_unicast_src vrrp_skip_check_adv_addr \
    vrrp_strict v3_checksum_as_v2 vrrp_startup_delay vrrp_delay_after_boot log_unknown_vrids vmac_prefix \
    vmac_addr_prefix vrrp_rx_bufs_policy vrrp_rx_bufs_multiplier nftables nftables_priority nftables_counters \
    nftables_ifindex vrrp_iptables vrrp_ipsets notify_fifo notify_fifo_script vrrp_notify_fifo \
    vrrp_notify_fifo_script lvs_notify_fifo lvs_notify_fifo_script vrrp_notify_priority_changes \
    fifo_write_vrrp_states_on_reload script_user enable_script_security use_symlink_paths set_supplementary_groups \
    snmp_socket enable_snmp_vrrp enable_snmp_keepalived enable_snmp_checker enable_snmp_rfc enable_snmp_rfcv2 \
    enable_snmp_rfcv3 enable_traps snmp_vs_stats_update_interval snmp_rs_stats_update_interval enable_dbus \
    dbus_service_name dbus_no_interface_name max_auto_priority min_auto_priority_delay vrrp_priority \
    checker_priority bfd_priority vrrp_no_swap checker_no_swap bfd_no_swap vrrp_rt_priority checker_rt_priority \
    bfd_rt_priority vrrp_rlimit_rttime vrrp_rlimit_rtime checker_rlimit_rttime checker_rlimit_rtime \
    bfd_rlimit_rttime bfd_rlimit_rtime vrrp_cpu_affinity checker_cpu_affinity bfd_cpu_affinity \
    vrrp_netlink_cmd_rcv_bufs vrrp_netlink_cmd_rcv_bufs_force vrrp_netlink_monitor_rcv_bufs \
    vrrp_netlink_monitor_rcv_bufs_force lvs_netlink_cmd_rcv_bufs lvs_netlink_cmd_rcv_bufs_force \
    lvs_netlink_monitor_rcv_bufs lvs_netlink_monitor_rcv_bufs_force process_monitor_rcv_bufs \
    process_monitor_rcv_bufs_force reload_check_config reload_time_file reload_repeat reload_file include_check \
    linkbeat_use_polling";

const INSTANCE: &str = "state interface virtual_router_id priority advert_int version nopreempt preempt \
    preempt_delay down_timer_adverts timer_expired_backup thread_timer_expired lower_prio_no_advert \
    higher_prio_send_advert owner_ignore_adverts strict_mode accept no_accept skip_check_adv_addr debug \
    unicast_src_ip mcast_src_ip mcast_dst_ip unicast_peer unicast_ttl unicast_fault_no_peer check_unicast_src \
    track_src_ip old_unicast_checksum v3_checksum_as_v2 native_ipv6 vrf kernel_rx_buf_size linkbeat_use_polling \
    dont_track_primary promote_secondaries use_vmac use_vmac_addr vmac_xmit_base use_ipvlan garp_master_delay \
    garp_master_repeat garp_master_refresh garp_master_refresh_repeat garp_lower_prio_delay garp_lower_prio_repeat \
    garp_extra_if vmac_garp_intvl authentication auth_hmac notify_master notify_backup notify_fault notify_stop \
    notify_deleted notify notify_master_rx_lower_pri notify_priority_changes smtp_alert lvs_sync_daemon_interface \
    virtual_ipaddress virtual_ipaddress_excluded no_virtual_ipaddress virtual_routes virtual_rules track_interface \
    track_script track_file track_process track_bfd";

const SYNC_GROUP: &str = "group track_interface track_script track_file track_process track_bfd notify_master \
    notify_backup notify_fault notify_stop notify smtp_alert notify_priority_changes global_tracking \
    sync_group_tracking_weight";

const TRACK_PROCESS: &str =
    "process param_match weight quorum quorum_max delay fork_delay terminate_delay full_command";

const VIRTUAL_SERVER: &str = "lvs_sched lb_algo lvs_method lb_kind protocol delay_loop persistence_timeout \
    persistence_granularity persistence_engine flag-1 flag-2 flag-3 sh-port sh-fallback mh-port mh-fallback hashed \
    ops ip_family ha_suspend alpha omega quorum hysteresis quorum_up quorum_down sorry_server sorry_server_inhibit \
    sorry_server_lvs_method inhibit_on_failure weight virtualhost connect_timeout retry delay_before_retry warmup \
    smtp_alert snmp_name real_server";

const REAL_SERVER: &str = "weight inhibit_on_failure notify_up notify_down lvs_method uthreshold lthreshold \
    virtualhost alpha connect_timeout retry delay_before_retry warmup delay_loop smtp_alert snmp_name TCP_CHECK \
    HTTP_GET SSL_GET SMTP_CHECK DNS_CHECK MISC_CHECK UDP_CHECK PING_CHECK BFD_CHECK FILE_CHECK";

/// What every checker that makes connections has.
const CHECKER: &str = "connect_ip connect_port bindto bind_port bind_if connect_timeout fwmark retry nb_get_retry \
    delay_before_retry warmup delay_loop alpha log_all_failures";

const HTTP_GET: &str = "url virtualhost http_protocol fast_recovery enable_sni sni_name tls_compliant";

const URL: &str = "path status_code digest virtualhost regex regex_no_match regex_options regex_stack \
    regex_min_offset regex_max_offset tls_compliant";

const MISC_CHECK: &str = "misc_path misc_timeout misc_dynamic user retry delay_before_retry warmup delay_loop alpha \
    log_all_failures";

const BFD: &str = "neighbor_ip neighbour_ip source_ip min_rx min_tx idle_tx multiplier passive ttl hoplimit \
    max_hops multihop weight vrrp checker";
