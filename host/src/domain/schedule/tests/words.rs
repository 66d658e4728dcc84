//! What cron expressions say.

use super::super::words::PORTUGUESE;
use super::cron;

const TABLE: &[(&str, &str, &str)] = &[
    ("*/2 * * * *", "every 2 minutes", "a cada 2 minutos"),
    ("*/3 * * * *", "every 3 minutes", "a cada 3 minutos"),
    ("*/1 * * * *", "every minute", "a cada minuto"),
    ("* * * * *", "every minute", "a cada minuto"),
    (
        "0 9-18 * * 1-5",
        "every hour from 09:00 to 18:00, Monday to Friday",
        "a cada hora, das 09:00 às 18:00, de segunda-feira a sexta-feira",
    ),
    ("30 2 * * *", "at 02:30 every day", "às 02:30, todos os dias"),
    ("0 * * * *", "every hour", "a cada hora"),
    ("15 * * * *", "every hour at minute 15", "a cada hora, no minuto 15"),
    ("0 */2 * * *", "every 2 hours", "a cada 2 horas"),
    ("15 */6 * * *", "every 6 hours at minute 15", "a cada 6 horas, no minuto 15"),
    ("0 1-23/2 * * *", "every 2 hours from 01:00 to 23:00", "a cada 2 horas, das 01:00 às 23:00"),
    ("0 9,12,18 * * *", "at 09:00, 12:00 and 18:00 every day", "às 09:00, 12:00 e 18:00, todos os dias"),
    ("0 9,12,15,18,21 * * *", "every 3 hours from 09:00 to 21:00", "a cada 3 horas, das 09:00 às 21:00"),
    (
        "*/15 9-17 * * mon-fri",
        "every 15 minutes from 09:00 to 17:45, Monday to Friday",
        "a cada 15 minutos, das 09:00 às 17:45, de segunda-feira a sexta-feira",
    ),
    ("*/15 2 * * *", "at 02:00, 02:15, 02:30 and 02:45 every day", "às 02:00, 02:15, 02:30 e 02:45, todos os dias"),
    (
        "*/7 * * * *",
        "at minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour",
        "nos minutos 0, 7, 14, 21, 28, 35, 42, 49 e 56 de cada hora",
    ),
    ("*/7 3 * * *", "every 7 minutes from 03:00 to 03:56", "a cada 7 minutos, das 03:00 às 03:56"),
    ("5-59/10 * * * *", "every 10 minutes starting at minute 5", "a cada 10 minutos, a partir do minuto 5"),
    ("5,10,20 * * * *", "at minutes 5, 10 and 20 of every hour", "nos minutos 5, 10 e 20 de cada hora"),
    ("0-10 * * * *", "at minutes 0 to 10 of every hour", "nos minutos 0 a 10 de cada hora"),
    ("0-10 4 * * *", "every minute from 04:00 to 04:10", "a cada minuto, das 04:00 às 04:10"),
    ("5,10,20 9-17 * * *", "at minutes 5, 10 and 20 in the hours 9 to 17", "nos minutos 5, 10 e 20 nas horas 9 a 17"),
    ("*/20 9,11,14 * * *", "every 20 minutes in the hours 9, 11 and 14", "a cada 20 minutos nas horas 9, 11 e 14"),
    ("* 9-17 * * *", "every minute from 09:00 to 17:59", "a cada minuto, das 09:00 às 17:59"),
    (
        "*/15 */2 * * *",
        "every 15 minutes in the hours 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20 and 22",
        "a cada 15 minutos nas horas 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20 e 22",
    ),
    (
        "5-59/15 */2 * * *",
        "every 15 minutes starting at minute 5 in the hours 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20 and 22",
        "a cada 15 minutos, a partir do minuto 5 nas horas 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20 e 22",
    ),
    ("0 0 1 * *", "at 00:00 on day 1 of every month", "às 00:00, no dia 1 de cada mês"),
    ("0 0 1,15 * *", "at 00:00 on days 1 and 15 of every month", "às 00:00, nos dias 1 e 15 de cada mês"),
    ("0 0 1-7 * *", "at 00:00 on days 1 to 7 of every month", "às 00:00, nos dias 1 a 7 de cada mês"),
    (
        "0 0 */2 * *",
        "at 00:00, every 2 days from day 1 to 31 of every month",
        "às 00:00, a cada 2 dias, do dia 1 ao 31 de cada mês",
    ),
    ("0 0 25 12 *", "at 00:00 on 25 December", "às 00:00, em 25 de dezembro"),
    ("0 0 1,15 12 *", "at 00:00 on 1 and 15 December", "às 00:00, em 1 e 15 de dezembro"),
    ("0 0 1 1,7 *", "at 00:00 on day 1 of January and July", "às 00:00, no dia 1 de janeiro e julho"),
    ("0 0 * 1 *", "at 00:00 every day in January", "às 00:00, todos os dias, em janeiro"),
    ("*/5 * * 4-9 *", "every 5 minutes, from April to September", "a cada 5 minutos, de abril a setembro"),
    ("0 9 * * 1", "at 09:00 on Mondays", "às 09:00, às segundas-feiras"),
    ("0 9 * * 6,0", "at 09:00 on Saturdays and Sundays", "às 09:00, aos sábados e aos domingos"),
    ("*/15 * * * fri", "every 15 minutes on Fridays", "a cada 15 minutos, às sextas-feiras"),
    ("0 9 * 1 mon", "at 09:00 on Mondays, in January", "às 09:00, às segundas-feiras, em janeiro"),
    (
        "30 4 1,15 * 5",
        "at 04:30 on days 1 and 15 of the month and also on Fridays",
        "às 04:30, nos dias 1 e 15 do mês e também às sextas-feiras",
    ),
    (
        "30 4 1,15 * 1-5",
        "at 04:30 on days 1 and 15 of the month and also Monday to Friday",
        "às 04:30, nos dias 1 e 15 do mês e também de segunda-feira a sexta-feira",
    ),
    (
        "0 0 */2 * 1",
        "at 00:00, every 2 days from day 1 to 31 of the month if it is a Monday",
        "às 00:00, a cada 2 dias, do dia 1 ao 31 do mês, se for segunda-feira",
    ),
    (
        "0 0 1-7 1 */3",
        "at 00:00 on days 1 to 7 of the month if it is a Wednesday, Saturday or Sunday, in January",
        "às 00:00, nos dias 1 a 7 do mês, se for quarta-feira, sábado ou domingo, em janeiro",
    ),
    ("0 0 29 2 *", "at 00:00 on 29 February", "às 00:00, em 29 de fevereiro"),
    ("@daily", "at 00:00 every day", "às 00:00, todos os dias"),
    ("@hourly", "every hour", "a cada hora"),
    ("@weekly", "at 00:00 on Sundays", "às 00:00, aos domingos"),
    ("@monthly", "at 00:00 on day 1 of every month", "às 00:00, no dia 1 de cada mês"),
    ("@yearly", "at 00:00 on 1 January", "às 00:00, em 1 de janeiro"),
    ("0 0 1-31 * 1", "at 00:00 every day", "às 00:00, todos os dias"),
    (
        "0 0 1 * fri-sun",
        "at 00:00 on day 1 of the month and also Friday to Sunday",
        "às 00:00, no dia 1 do mês e também de sexta-feira a domingo",
    ),
    (
        "0 22-23,0-6 * * *",
        "at 00:00, 01:00, 02:00, 03:00, 04:00, 05:00, 06:00, 22:00 and 23:00 every day",
        "às 00:00, 01:00, 02:00, 03:00, 04:00, 05:00, 06:00, 22:00 e 23:00, todos os dias",
    ),
    ("1,2,3,4,5,6 1,2,3 * * *", "at minutes 1 to 6 in the hours 1 to 3", "nos minutos 1 a 6 nas horas 1 a 3"),
    ("0 0 * * sun", "at 00:00 on Sundays", "às 00:00, aos domingos"),
];

#[test]
fn cron_expressions_read_well() {
    for (expression, english, portuguese) in TABLE {
        assert_eq!(cron(expression, "UTC").describe(), format!("{english} (UTC)"), "{expression}");
        assert_eq!(cron(expression, "UTC").describe_in(&PORTUGUESE), format!("{portuguese} (UTC)"), "{expression}");
    }
    assert_eq!(cron("30 2 * * *", "Europe/Lisbon").describe(), "at 02:30 every day (Europe/Lisbon)");
}
