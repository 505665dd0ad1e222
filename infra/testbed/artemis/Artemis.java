import java.io.File;
import java.util.Set;
import org.apache.activemq.artemis.api.core.QueueConfiguration;
import org.apache.activemq.artemis.api.core.RoutingType;
import org.apache.activemq.artemis.core.config.CoreAddressConfiguration;
import org.apache.activemq.artemis.core.config.impl.ConfigurationImpl;
import org.apache.activemq.artemis.core.config.impl.SecurityConfiguration;
import org.apache.activemq.artemis.core.security.Role;
import org.apache.activemq.artemis.core.server.embedded.EmbeddedActiveMQ;
import org.apache.activemq.artemis.core.settings.impl.AddressFullMessagePolicy;
import org.apache.activemq.artemis.core.settings.impl.AddressSettings;
import org.apache.activemq.artemis.spi.core.security.ActiveMQJAASSecurityManager;
import org.apache.activemq.artemis.spi.core.security.jaas.InVMLoginModule;

/**
 * A broker for tests that speaks AMQP 1.0: `java -cp … Artemis.java <folder> <port> [<password>]`. Without a password it lets everyone in,
 * and has any address; nobody listens there, so it keeps nothing. With one: Users `all`, `penstock` (sends to
 * `telemetry` and `full`) and `limited` have that password. Queues: `telemetry`, `private`, and `full`, which holds about 10 KB.
 */
public final class Artemis {
  public static void main(String[] arguments) throws Exception {
    var folder = new File(arguments[0]);
    var isOpen = arguments.length < 3;
    var settings = new AddressSettings().setAutoCreateQueues(false).setAutoCreateAddresses(isOpen)
      .setDefaultAddressRoutingType(RoutingType.MULTICAST);
    var full = new AddressSettings().setAutoCreateQueues(false).setAutoCreateAddresses(false)
      .setMaxSizeBytes(10_000).setAddressFullMessagePolicy(AddressFullMessagePolicy.FAIL);
    var configuration = new ConfigurationImpl();
    configuration.setBrokerInstance(folder);
    configuration.setPersistenceEnabled(false).setSecurityEnabled(!isOpen);
    configuration.addAcceptorConfiguration("amqp", "tcp://127.0.0.1:" + arguments[1] + "?protocols=AMQP;saslMechanisms=PLAIN,ANONYMOUS");
    configuration.addAddressSetting("#", settings).addAddressSetting("full", full);
    for (var name : new String[] {"telemetry", "private", "full"}) {
      var queue = new QueueConfiguration(name).setRoutingType(RoutingType.ANYCAST);
      configuration.addAddressConfiguration(
        new CoreAddressConfiguration().setName(name).addRoutingType(RoutingType.ANYCAST).addQueueConfiguration(queue));
    }
    var all = new Role("all", true, true, true, true, true, true, true, true, true, true);
    var senders = new Role("senders", true, false, false, false, false, false, false, false, false, false);
    configuration.putSecurityRoles("#", Set.of(all));
    configuration.putSecurityRoles("telemetry", Set.of(all, senders));
    configuration.putSecurityRoles("full", Set.of(all, senders));
    var users = new SecurityConfiguration();
    for (var user : new String[] {"all", "penstock", "limited"}) users.addUser(user, isOpen ? "" : arguments[2]);
    users.addRole("all", "all");
    users.addRole("penstock", "senders");
    users.addRole("limited", "nothing");
    var broker = new EmbeddedActiveMQ();
    broker.setConfiguration(configuration);
    broker.setSecurityManager(new ActiveMQJAASSecurityManager(InVMLoginModule.class.getName(), users));
    broker.start();
    System.out.println("ready");
  }
}
