import AccessControl
import CGuise

/// What descriptors allowed lately, to know what the next one is going to say. Never decides: a descriptor can
/// have changed by then, so it is read again from what was opened.
struct Foreseen {
    /// May this token have these rights on this file, as it was last changed?
    struct Question: Equatable {
        fileprivate let device: UInt64
        fileprivate let inode: UInt64
        fileprivate let changed: (seconds: Int64, nanoseconds: UInt32)
        fileprivate let rights: UInt32
        fileprivate let session: UInt64
        fileprivate let modification: UInt64

        init(_ status: statx, _ rights: AccessMask<FileKind>, _ token: Token) {
            device = status.device
            inode = status.stx_ino
            changed = (status.stx_ctime.tv_sec, status.stx_ctime.tv_nsec)
            self.rights = rights.rawValue
            session = token.logonSession
            modification = token.modificationID
        }

        static func == (one: Question, other: Question) -> Bool {
            one.inode == other.inode && one.device == other.device && one.changed == other.changed
                && one.rights == other.rights && one.session == other.session
                && one.modification == other.modification
        }
    }

    private static let size = 64
    private var allowed = [Question?](repeating: nil, count: size)

    func contains(_ question: Question) -> Bool { allowed[Self.place(question)] == question }

    mutating func insert(_ question: Question) { allowed[Self.place(question)] = question }

    private static func place(_ question: Question) -> Int { Int(question.inode % UInt64(size)) }
}
