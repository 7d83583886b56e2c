// The fuzz targets of AccessControl, compiled together with the module's sources (see `run`). What is fuzzed is
// chosen by the environment variable GUISE_FUZZ: descriptor, sddl, condition or ntacl.

import Glibc

private let target = getenv("GUISE_FUZZ").map { String(cString: $0) } ?? "descriptor"

private let token: Token = {
    var fields = Token.Fields(user: .system, logonSession: 1)
    fields.groups = [Token.Group(.administrators), Token.Group(.everyone), Token.Group(.users, .denyOnly)]
    fields.restrictingSIDs = [Token.Group(.everyone)]
    fields.userClaims = [
        Claim(name: "a", values: .string(["x", "y"])), Claim(name: "b", values: .int64([1, -1])),
        Claim(name: "c", values: .sid([.system])), Claim(name: "d", values: .octets([[1, 2]])),
    ]
    fields.deviceClaims = [Claim(name: "a", values: .boolean([true]))]
    return Token(unchecked: fields)
}()

private func fuzzDescriptor(_ bytes: [UInt8]) {
    guard let descriptor = try? SecurityDescriptor(bytes: bytes) else {
        // What cannot be read must not be granted either.
        precondition(
            (try? AccessCheck<FileKind>.decide(bytes.span.bytes, token: token, desired: .readData)) == nil)
        return
    }
    let decision = try? AccessCheck<FileKind>.decide(bytes.span.bytes, token: token, desired: .maximumAllowed)
    let again = try? AccessCheck<FileKind>.decide(descriptor, token: token, desired: .maximumAllowed)
    precondition(decision == again)
    guard let written = try? SecurityDescriptor(bytes: descriptor.bytes) else { fatalError("unreadable") }
    precondition(written == descriptor)
    let text = descriptor.sddl()
    guard let parsed = try? SecurityDescriptor(sddl: text) else { fatalError("unparsable: \(text)") }
    precondition(parsed.sddl() == text)
    _ = try? SecurityDescriptor.inheriting(parent: descriptor, isContainer: true, token: token)
    if let once = try? descriptor.propagating(to: descriptor, isContainer: true) {
        let twice = try? descriptor.propagating(to: once, isContainer: true)
        precondition(twice == once)
    }
    _ = try? AccessCheck<FileKind>.explain(descriptor, token: token, desired: .maximumAllowed).json
}

private func fuzzSDDL(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    guard let descriptor = try? SecurityDescriptor(sddl: text, domain: SID("S-1-5-21-1-2-3")) else { return }
    let written = descriptor.sddl()
    guard let again = try? SecurityDescriptor(sddl: written) else { fatalError("unparsable: \(written)") }
    precondition(again == descriptor, written)
    guard let read = try? SecurityDescriptor(bytes: descriptor.bytes) else { fatalError("unreadable") }
    precondition(read == descriptor)
}

private func fuzzCondition(_ bytes: [UInt8]) {
    let code = Array("artx".utf8) + bytes
    var budget = ConditionCode.workBudget
    code.withUnsafeBytes { code in
        _ = ConditionEvaluator(code: code, token: token.storage, sacl: nil, roles: .allow, denying: false)
            .evaluate(budget: &budget)
    }
    if let condition = Condition(bytes: code), condition.isFaithful {
        let text = condition.sddl()
        guard let again = try? Condition(sddl: text) else { fatalError("unparsable: \(text)") }
        precondition(again == condition, text)
    }
    if let condition = try? Condition(sddl: String(decoding: bytes, as: UTF8.self)) {
        precondition(Condition(bytes: condition.bytes) == condition)
        _ = condition.evaluate(for: token)
    }
    if let claim = Claim(bytes: bytes) { precondition(Claim(bytes: claim.bytes) == claim) }
}

private func fuzzNTACL(_ bytes: [UInt8]) {
    guard let attribute = try? NTACL(bytes: bytes) else { return }
    precondition((try? NTACL(bytes: attribute.bytes)) == attribute)
    _ = PosixACL(bytes: bytes)
}

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: data, count: size))
    switch target {
    case "sddl": fuzzSDDL(bytes)
    case "condition": fuzzCondition(bytes)
    case "ntacl": fuzzNTACL(bytes)
    default: fuzzDescriptor(bytes)
    }
    return 0
}
