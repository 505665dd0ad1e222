import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import com.microsoft.azure.sdk.iot.device.exceptions.IotHubClientException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubException;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * The hub's own SDKs for Java, unchanged, as long as standard input is open. Each line of it asks for a scenario,
 * {"id": 1, "scenario": "device", "given": {}}, and is answered by {"id": 1, "result": {}} or {"id": 1, "error": {}}. Scenarios run at the
 * same time. The server's authority is in the trust store of the JVM.
 */
class HubClients {
  static final Gson GSON = new GsonBuilder().disableHtmlEscaping().create();

  private static final Map<String, Scenario<JsonElement>> SCENARIOS =
      Map.ofEntries(
          Map.entry("make", of(Registry.Wanted.class, Registry::make)),
          Map.entry("device", of(Devices.Plan.class, Devices::live)),
          Map.entry("devices", of(Devices.Plan[].class, plans -> Devices.multiplexed(List.of(plans)))),
          Map.entry("upload", of(Devices.File.class, Devices::upload)),
          Map.entry("speak", of(Services.Spoken.class, Services::speak)),
          Map.entry("send", of(Commands.Sending.class, Commands::send)),
          Map.entry("feedback", of(Commands.Waiting.class, Commands::feedback)),
          Map.entry("files", of(Commands.Waiting.class, Commands::files)),
          Map.entry("registry", of(Services.Tour.class, Registry::tour)),
          Map.entry("enrol", of(Provisioning.Enrolling.class, Provisioning::enrol)),
          Map.entry("register", of(Provisioning.Registering.class, Provisioning::register)),
          Map.entry("registration", of(Provisioning.Registered.class, Provisioning::registration)),
          Map.entry("services", of(Services.Tour.class, Services::tour)));

  public static void main(String[] arguments) throws Exception {
    ExecutorService threads = Executors.newCachedThreadPool();
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      Request request = GSON.fromJson(line, Request.class);
      threads.execute(() -> say(answerTo(request)));
    }
    System.exit(0);
  }

  private static Answer answerTo(Request request) {
    Answer answer = new Answer();
    answer.id = request.id;
    try {
      answer.result = SCENARIOS.get(request.scenario).run(request.given);
    } catch (Throwable error) {
      answer.error = Failure.of(error);
      error.printStackTrace();
    }
    return answer;
  }

  private static synchronized void say(Answer answer) {
    System.out.println(GSON.toJson(answer));
  }

  private static <Given> Scenario<JsonElement> of(Class<Given> kind, Scenario<Given> scenario) {
    return given -> scenario.run(GSON.fromJson(given, kind));
  }

  /** @return how something failed; null if it did not */
  static Failure failureOf(Action action) {
    try {
      action.run();
      return null;
    } catch (Exception error) {
      return Failure.of(error);
    }
  }

  interface Action {
    void run() throws Exception;
  }

  private interface Scenario<Given> {
    Object run(Given given) throws Exception;
  }

  private static class Request {
    int id;
    String scenario;
    JsonElement given;
  }

  private static class Answer {
    int id;
    Object result;
    Failure error;
  }

  /** What a program that uses the SDKs can tell an error by. */
  static class Failure {
    String name;
    Object code;
    String message;

    static Failure of(Throwable error) {
      Failure failure = new Failure();
      failure.name = error.getClass().getSimpleName();
      failure.message = error.getMessage();
      if (error instanceof IotHubClientException) failure.code = ((IotHubClientException) error).getStatusCode();
      if (error instanceof IotHubException) failure.code = ((IotHubException) error).getErrorCode();
      return failure;
    }
  }
}
