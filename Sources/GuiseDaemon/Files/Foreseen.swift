import AccessControl
import Glibc

/// What was opened lately below managed roots, to know what comes of opening it once more. Never decides: something
/// else may be there by now, so that is asked of what was opened.
struct Foreseen {
    /// What an answer holds for, but for the name.
    fileprivate struct Terms: Equatable {
        // Of the root, which itself would keep its file system busy when it is no root any more.
        let device: UInt64
        let inode: UInt64
        let rights: UInt32
        let intent: AccessIntent
        let session: UInt64
        let modification: UInt64
        let changeCount: UInt64
    }

    /// May this caller open this name with these rights, as long as all names stand for what they do?
    struct Question {
        fileprivate let terms: Terms
        /// Below the root.
        fileprivate let path: UnsafeBufferPointer<CChar>

        /// To be asked before the name is looked up; `path` has to outlive it.
        init(
            _ root: OpenRoot, _ path: UnsafeBufferPointer<CChar>, _ rights: AccessMask<FileKind>,
            _ caller: Caller, _ roots: ManagedRoots
        ) {
            self.path = path
            terms = Terms(
                device: root.device, inode: root.inode, rights: rights.rawValue, intent: caller.intent,
                session: caller.token.logonSession, modification: caller.token.modificationID,
                changeCount: roots.changeCount)
        }
    }

    private struct Answer {
        let terms: Terms
        let path: [CChar]

        func fits(_ question: Question) -> Bool {
            terms == question.terms && path.count == question.path.count
                && path.withUnsafeBytes { memcmp($0.baseAddress!, question.path.baseAddress!, $0.count) == 0 }
        }
    }

    private static let size = 64
    private static let longest = 512
    private var allowed = [Answer?](repeating: nil, count: size)

    func contains(_ question: Question) -> Bool { allowed[Self.place(question)]?.fits(question) ?? false }

    mutating func insert(_ question: Question) {
        guard (1...Self.longest).contains(question.path.count) else { return }
        allowed[Self.place(question)] = Answer(terms: question.terms, path: Array(question.path))
    }

    mutating func remove(_ question: Question) { allowed[Self.place(question)] = nil }

    private static func place(_ question: Question) -> Int {
        // Names differ at their ends.
        var hash = UInt64(question.path.count) ^ question.terms.session
        for byte in question.path.suffix(12) {
            hash = (hash ^ UInt64(UInt8(bitPattern: byte))) &* 0x100_0000_01B3
        }
        return Int(hash >> 32) & (size - 1)
    }
}
