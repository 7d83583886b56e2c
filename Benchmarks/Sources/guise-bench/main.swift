import Glibc

let suites: [(String, () throws -> Void)] = [
    ("access-check", accessCheckSuite),
    ("conditions", conditionSuite),
    ("impersonation", impersonationSuite),
    ("mediation", mediationSuite),
    ("pipes", pipeSuite),
    ("grpc", grpcSuite),
    ("kerberos", kerberosSuite),
    ("registry", registrySuite),
]
do {
    // The suites start this program again, for the processes they measure.
    if try Worker.run(CommandLine.arguments) { exit(0) }
    let wanted = CommandLine.arguments.dropFirst()
    for (name, suite) in suites where wanted.isEmpty || wanted.contains(name) { try suite() }
} catch {
    let line = Array("guise-bench: \(error)\n".utf8)
    _ = write(STDERR_FILENO, line, line.count)
    exit(1)
}
