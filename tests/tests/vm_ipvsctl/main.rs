//! ipvsctl beside Debian's ipvsadm on the real kernel: the same command lines, the same tables, the same lists.

mod command_lines;
mod lists;
mod restore;
mod side_by_side;
mod verbs;
