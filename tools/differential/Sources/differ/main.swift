// Reads questions from standard input, one on each line with fields separated by tabs, and answers each on one line:
//
//   check  descriptor  user  groups  privileges  desired  intent   → "ok GRANTED" | "denied" | "error TEXT"
//   parse  sddl  domain                                            → descriptor in hexadecimal | "error TEXT"
//   print  descriptor  domain                                      → SDDL | "error TEXT"
//
// Descriptors and masks are hexadecimal, groups are separated by commas, privileges by numbers and commas; the
// object is a file and the token as trusted as can be, so that no label stands in the way.

import AccessControl

func bytes(_ hex: Substring) -> [UInt8]? {
    let digits = Array(hex.utf8)
    guard digits.count % 2 == 0 else { return nil }
    var out: [UInt8] = []
    out.reserveCapacity(digits.count / 2)
    for index in stride(from: 0, to: digits.count, by: 2) {
        guard let byte = UInt8(String(decoding: digits[index...index + 1], as: UTF8.self), radix: 16) else {
            return nil
        }
        out.append(byte)
    }
    return out
}

func hex(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}

func list(_ field: Substring) -> [Substring] { field.split(separator: ",") }

func check(_ fields: [Substring]) throws -> String {
    guard fields.count >= 7, let descriptor = bytes(fields[1]), let user = SID(String(fields[2])),
        let desired = UInt32(fields[5], radix: 16), let intent = UInt8(fields[6])
    else { return "error question" }
    let token = try Token(
        user: user, groups: list(fields[3]).compactMap { SID(String($0)).map { Token.Group($0) } },
        privileges: PrivilegeSet(
            list(fields[4]).compactMap { UInt32($0).flatMap(Privilege.init(rawValue:)) }),
        integrity: .system, logonSession: 1)
    let decision = try AccessCheck<FileKind>.decide(
        descriptor.span.bytes, token: token, desired: AccessMask(rawValue: desired),
        context: AccessContext(intent: AccessIntent(rawValue: intent)))
    return decision.isAllowed ? "ok " + String(decision.granted.rawValue, radix: 16) : "denied"
}

func answer(_ line: String) -> String {
    let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
    do {
        switch fields.first {
        case "check": return try check(fields)
        case "parse":
            let descriptor = try SecurityDescriptor(sddl: String(fields[1]), domain: SID(String(fields[2])))
            return hex(descriptor.bytes)
        case "print":
            guard let raw = bytes(fields[1]) else { return "error question" }
            return try SecurityDescriptor(bytes: raw).sddl(domain: SID(String(fields[2])))
        default: return "error question"
        }
    } catch {
        return "error \(error)"
    }
}

while let line = readLine() { print(answer(line)) }
