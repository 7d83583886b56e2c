import CGuise
import Glibc
import GuiseProtocol
import Synchronization

/// Tells one identity of a calling thread from another, to keep a connection for each. Two that are equal are the same
/// token, unadjusted by this process.
package struct EffectiveIdentity: Hashable, Sendable {
    private let process: Int32
    private let user: UInt32
    private let attachment: UInt64
    private let handle: UInt64
    private let version: UInt64
    private let adjustments: UInt64
    /// Whether it is a client's that the thread acts as, in a process whose connections nobody makes as the client
    /// (``Authority/Enforcement/cooperative``): others see the process.
    package let isHidden: Bool

    private static let adjustments = Atomic<UInt64>(0)

    /// The calling thread's.
    ///
    /// - Throws: ``GuiseError/accessDenied(_:)`` when it acts under an identity that is gone.
    package static func current() throws(GuiseError) -> EffectiveIdentity {
        let authority = Authority.current
        let handle = try ThreadIdentity.handle(in: authority)
        return EffectiveIdentity(
            process: getpid(), user: geteuid(), attachment: UInt64(authority?.generation ?? 0),
            handle: handle,
            version: authority?.page.tokenVersion ?? 0, adjustments: adjustments.load(ordering: .acquiring),
            isHidden: handle != 0 && authority?.isMediated != true)
    }

    /// A token was adjusted: handles to it stay, and stand for something else from now on.
    static func noteAdjustment() { adjustments.add(1, ordering: .acquiringAndReleasing) }
}
