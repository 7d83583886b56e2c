public import AccessControl

/// Runs `body` with the calling thread's calls declared to be made for backup or restore: under managed roots
/// `SeBackupPrivilege` then grants reading and listing, `SeRestorePrivilege` writing, creating, deleting, and setting
/// owners, whatever the DACLs say. Both count only if the token that decides for the thread holds them enabled: the
/// client's while it impersonates, else the service's own. Afterwards, however `body` ends, what was declared before
/// is in force again; an inner call counts instead of the outer one.
///
/// It is the thread that declares, for as long as `body` runs on it, so `body` is synchronous. In a task that is no
/// limit but on where the task may suspend: nothing else runs on the thread meanwhile, and the task takes nothing along
/// when it moves on.
///
/// Corresponds to `FILE_FLAG_BACKUP_SEMANTICS` of `CreateFile` (`FILE_OPEN_FOR_BACKUP_INTENT`), for several calls at once.
///
/// - Parameter intent: `.backup`, `.restore`, both, or `[]`: neither.
/// - Throws: ``GuiseError/notAttached(_:)``, ``GuiseError/notMediated(_:)`` (a process that checks access itself tells
///   its intent to `AccessCheck`), ``GuiseError/authorityLost(_:)`` and ``GuiseError/tooManyThreads(_:)``, before `body`
///   runs; else what `body` throws.
public func withIntent<Result, Failure: Error>(
    _ intent: AccessIntent, _ body: () throws(Failure) -> Result
) throws -> Result {
    let authority = try Authority.required().alive()
    guard authority.isMediated else {
        throw GuiseError.notMediated(
            "this process is not mediated, so nobody asks what its calls are for; give the intent to AccessCheck"
        )
    }
    let before = try ThreadIdentity.declare(UInt64(intent.rawValue), in: authority)
    defer { ThreadIdentity.redeclare(before) }
    return try body()
}
