import ToolSupport

/// What changed about the threads of a process from one look to the next.
struct ThreadChanges {
    struct Change: Encodable, Equatable {
        enum Kind: String, Encodable {
            /// The thread was there at the first look.
            case present
            case started
            /// It acts as somebody else than before, or at another level.
            case changed
            case ended
            case processEnded
        }

        let time: Moment
        let change: Kind
        let process: UInt32
        let thread: UInt32?
        let command: String?
        let impersonating: Bool?
        let level: String?
        let user: NamedSID?

        var line: String {
            guard let thread, let user else { return "\(time.time)  process \(process) ended" }
            let acting = impersonating == true ? "acts as \(user) at \(level ?? "-")" : "is \(user)"
            return "\(time.time)  \(thread)  \(visible(command ?? ""))  "
                + (change == .ended ? "ended" : acting)
        }
    }

    private var known: [UInt32: Identity]?

    /// What is different in `threads` from the time before.
    mutating func take(_ threads: [Identity], at time: Moment = .now) -> [Change] {
        let isFirst = known == nil
        let before = known ?? [:]
        var now: [UInt32: Identity] = [:]
        var changes: [Change] = []
        for thread in threads {
            guard let id = thread.thread else { continue }
            now[id] = thread
            if let earlier = before[id] {
                if !thread.isSame(as: earlier) { changes.append(Change(.changed, thread, time)) }
            } else {
                changes.append(Change(isFirst ? .present : .started, thread, time))
            }
        }
        for (id, thread) in before.sorted(by: { $0.key < $1.key }) where now[id] == nil {
            changes.append(Change(.ended, thread, time))
        }
        known = now
        return changes
    }
}

extension ThreadChanges.Change {
    fileprivate init(_ change: Kind, _ thread: Identity, _ time: Moment) {
        self.init(
            time: time, change: change, process: thread.process, thread: thread.thread,
            command: thread.command, impersonating: thread.impersonating, level: thread.level,
            user: thread.user)
    }

    /// The end of it all.
    init(endOf process: UInt32, at time: Moment = .now) {
        self.init(
            time: time, change: .processEnded, process: process, thread: nil, command: nil,
            impersonating: nil,
            level: nil, user: nil)
    }
}

extension Identity {
    fileprivate func isSame(as other: Identity) -> Bool {
        user == other.user && level == other.level && impersonating == other.impersonating
    }
}
